/** Everything about a session that a person may want otherwise. Changes hold at once, but for the voice: see there. */

import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'

import {
  type ConversationState, type Detection, type FunctionTool, type PageTool, USUAL, type Wishes, microphones, nameOf,
  voices,
} from '../client'
import type { Choices, Theme } from './choices'

interface Props {
  choices: Choices
  tools: readonly PageTool[]
  state: ConversationState
  keyText: string
  onChange: (choices: Choices) => void
  onKey: (key: string) => void
  onForget: () => void
}

export function SettingsPanel({ choices, tools, state, keyText, onChange, onKey, onForget }: Props) {
  const { wishes } = choices
  const want = (changes: Partial<Wishes>) => onChange({ ...choices, wishes: { ...wishes, ...changes } })
  return (
    <div class="settings">
      <fieldset>
        <legend>Who begins and ends a turn</legend>
        <TurnTaking detection={wishes.detection} onChange={(detection) => want({ detection })} />
      </fieldset>

      <fieldset>
        <legend>The answer</legend>
        <Voice state={state} keyText={keyText} value={wishes.voice ?? ''} onChange={(text) => want({ voice: text || null })} />
        <Slider label="Speed" value={wishes.speed} least={0.5} most={1.5} step={0.05} unit="×" onChange={(speed) => want({ speed })} />
        <Field label="Instructions">
          <LateText
            value={wishes.instructions ?? ''} placeholder={state.session.own?.instructions || "the server's own"}
            onChange={(text) => want({ instructions: text || null })}
          />
        </Field>
        <Check label="Answer aloud" checked={wishes.isSpoken} onChange={(isSpoken) => want({ isSpoken })} />
      </fieldset>

      <fieldset>
        <legend>Sound</legend>
        <Microphones chosen={choices.microphoneId} now={state.microphone.deviceId} onChange={(microphoneId) => onChange({ ...choices, microphoneId })} />
      </fieldset>

      <fieldset>
        <legend>Functions of this page</legend>
        {tools.map(({ tool }) => (
          <Check
            key={tool.name} label={<><code>{tool.name}</code> {tool.description}</>} checked={choices.offered.includes(tool.name)}
            onChange={(isOffered) => {
              const others = choices.offered.filter((name) => name !== tool.name)
              onChange({ ...choices, offered: isOffered ? [...others, tool.name] : others })
            }}
          />
        ))}
        <OwnTools tools={choices.ownTools} onChange={(ownTools) => onChange({ ...choices, ownTools })} />
      </fieldset>

      <fieldset>
        <legend>This page</legend>
        <Field label="Look">
          <select value={choices.theme} onChange={(event) => onChange({ ...choices, theme: event.currentTarget.value as Theme })}>
            <option value="auto">like the system</option>
            <option value="light">light</option>
            <option value="dark">dark</option>
          </select>
        </Field>
        <Field label="Key of the server" note="kept until this tab is closed">
          <input
            type="password" value={keyText} placeholder="none" autocomplete="off"
            onChange={(event) => onKey(event.currentTarget.value.trim())}
          />
        </Field>
        <div class="row">
          <button class="button" onClick={onForget}>Forget the conversation</button>
          <button class="button" onClick={() => onChange({ ...choices, wishes: USUAL, offered: [], ownTools: [] })}>Back to the usual settings</button>
        </div>
      </fieldset>
    </div>
  )
}

// --- the voice --------------------------------------------------------------------------------------------------------

interface VoiceProps {
  state: ConversationState
  keyText: string
  value: string
  onChange: (voice: string) => void
}

/** A server keeps the voice with which a conversation was begun. */
function Voice({ state, keyText, value, onChange }: VoiceProps) {
  const { session, hasSpoken } = state.session
  const [names, setNames] = useState<readonly string[]>([])
  useEffect(() => {
    const given = new AbortController()
    voices({ origin: location.origin, key: keyText || null }, given.signal).then(setNames, () => undefined)
    return () => given.abort()
  }, [keyText, state.link.state === 'connected'])
  const now = session?.type === 'realtime' ? `now: ${nameOf(session.audio.output.voice)}` : undefined
  return (
    <Field label="Voice" note={hasSpoken ? `${now}; another from the next conversation on` : now}>
      <input
        list="voices" value={value} placeholder="the server's own" autocomplete="off" spellcheck={false} disabled={hasSpoken}
        onChange={(event) => onChange(event.currentTarget.value.trim())}
      />
      <datalist id="voices">
        {names.map((name) => <option key={name} value={name} />)}
      </datalist>
    </Field>
  )
}

// --- turn-taking ------------------------------------------------------------------------------------------------------

const KINDS: Record<Detection['kind'], { title: string; words: string; first: Detection }> = {
  server_vad: {
    title: 'Hands-free, by silence', words: 'A pause of fixed length ends your turn.', first: USUAL.detection,
  },
  semantic_vad: {
    title: 'Hands-free, by sense', words: 'The server waits longer where a sentence sounds unfinished.',
    first: { kind: 'semantic_vad', eagerness: 'auto', interrupts: true },
  },
  none: { title: 'Push to talk', words: 'Hold the microphone button, or the space bar.', first: { kind: 'none' } },
}

function TurnTaking({ detection, onChange }: { detection: Detection; onChange: (detection: Detection) => void }) {
  return (
    <>
      {(Object.keys(KINDS) as Detection['kind'][]).map((kind) => (
        <label class="choice" key={kind}>
          <input type="radio" name="turns" checked={detection.kind === kind} onChange={() => onChange(KINDS[kind].first)} />
          <span>{KINDS[kind].title}<small>{KINDS[kind].words}</small></span>
        </label>
      ))}
      {detection.kind === 'server_vad' && (
        <>
          <Slider label="Silence" value={detection.silenceMs} least={200} most={2000} step={50} unit=" ms" onChange={(silenceMs) => onChange({ ...detection, silenceMs })} />
          <Slider label="Sensitivity" value={1 - detection.threshold} least={0.1} most={0.9} step={0.05} unit="" onChange={(value) => onChange({ ...detection, threshold: Number((1 - value).toFixed(2)) })} />
        </>
      )}
      {detection.kind === 'semantic_vad' && (
        <Field label="Eagerness">
          <select value={detection.eagerness} onChange={(event) => onChange({ ...detection, eagerness: event.currentTarget.value as typeof detection.eagerness })}>
            {['auto', 'low', 'medium', 'high'].map((name) => <option key={name}>{name}</option>)}
          </select>
        </Field>
      )}
      {detection.kind !== 'none' && (
        <Check label="My voice interrupts the answer" checked={detection.interrupts} onChange={(interrupts) => onChange({ ...detection, interrupts })} />
      )}
    </>
  )
}

// --- microphones ------------------------------------------------------------------------------------------------------

function Microphones({ chosen, now, onChange }: { chosen: string | null; now: string | null; onChange: (id: string | null) => void }) {
  const [found, setFound] = useState<{ id: string; name: string }[]>([])
  useEffect(() => {
    const look = () => void microphones().then(setFound)
    look()
    navigator.mediaDevices?.addEventListener('devicechange', look)
    return () => navigator.mediaDevices?.removeEventListener('devicechange', look)
  }, [now])
  return (
    <Field label="Microphone" note={found.length === 0 ? 'their names are told once you have connected' : undefined}>
      <select value={chosen ?? ''} onChange={(event) => onChange(event.currentTarget.value || null)}>
        <option value="">the browser's usual</option>
        {found.map(({ id, name }) => <option key={id} value={id}>{name}</option>)}
      </select>
    </Field>
  )
}

// --- functions that the person writes down ----------------------------------------------------------------------------

const EXAMPLE = `{
  "name": "get_weather",
  "description": "The weather in a city.",
  "parameters": { "type": "object", "properties": { "city": { "type": "string" } } }
}`

function OwnTools({ tools, onChange }: { tools: readonly FunctionTool[]; onChange: (tools: readonly FunctionTool[]) => void }) {
  const [text, setText] = useState('')
  const [fault, setFault] = useState('')
  const add = () => {
    try {
      onChange([...tools, toolFrom(text, tools)])
      setText('')
      setFault('')
    } catch (error) {
      setFault((error as Error).message)
    }
  }
  return (
    <details class="own-tools">
      <summary>Functions that you answer by hand</summary>
      <ul>
        {tools.map((tool) => (
          <li key={tool.name}>
            <code>{tool.name}</code>
            <button class="button small" onClick={() => onChange(tools.filter((one) => one !== tool))}>Remove</button>
          </li>
        ))}
      </ul>
      <textarea
        rows={6} spellcheck={false} aria-label="A function, as JSON" placeholder={EXAMPLE} value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      {fault && <p class="problem" role="alert">{fault}</p>}
      <button class="button" onClick={add} disabled={!text.trim()}>Add the function</button>
    </details>
  )
}

/** Throws an `Error` in words for a person. */
export function toolFrom(text: string, others: readonly FunctionTool[]): FunctionTool {
  let given: Partial<FunctionTool>
  try {
    given = JSON.parse(text) as Partial<FunctionTool>
  } catch (error) {
    throw new Error(`This is not JSON: ${(error as Error).message}`)
  }
  if (typeof given.name !== 'string' || !/^[\w-]{1,64}$/.test(given.name)) {
    throw new Error('It needs a "name" of letters, digits, - and _.')
  }
  if (others.some((one) => one.name === given.name)) throw new Error(`There is a function "${given.name}" already.`)
  const parameters = given.parameters ?? { type: 'object', properties: {} }
  return { type: 'function', name: given.name, description: given.description ?? '', parameters }
}

// --- controls ---------------------------------------------------------------------------------------------------------

function Field({ label, note, children }: { label: string; note?: string | undefined; children: ComponentChildren }) {
  return (
    <label class="field">
      <span>{label}{note && <small>{note}</small>}</span>
      {children}
    </label>
  )
}

function Check({ label, checked, onChange }: { label: ComponentChildren; checked: boolean; onChange: (checked: boolean) => void }) {
  return (
    <label class="choice">
      <input type="checkbox" checked={checked} onChange={(event) => onChange(event.currentTarget.checked)} />
      <span>{label}</span>
    </label>
  )
}

interface SliderProps {
  label: string
  value: number
  least: number
  most: number
  step: number
  unit: string
  onChange: (value: number) => void
}

function Slider({ label, value, least, most, step, unit, onChange }: SliderProps) {
  return (
    <label class="field">
      <span>{label}<small>{Number(value.toFixed(2))}{unit}</small></span>
      <input type="range" min={least} max={most} step={step} value={value} onChange={(event) => onChange(event.currentTarget.valueAsNumber)} />
    </label>
  )
}

/** Tells of what was typed when one leaves it: a session is not changed letter by letter. */
function LateText({ value, placeholder, onChange }: { value: string; placeholder: string; onChange: (text: string) => void }) {
  return <textarea rows={4} value={value} placeholder={placeholder} onChange={(event) => onChange(event.currentTarget.value.trim())} />
}
