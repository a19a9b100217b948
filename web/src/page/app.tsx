/** The whole page: what is shown where, and what each control does. */

import { useEffect, useMemo, useRef, useState } from 'preact/hooks'

import { type ConversationState, Conversation, type TransportKind, type Wishes, judged } from '../client'
import { Banner } from './banner'
import { Captions } from './captions'
import { type Choices, type Theme, keep, keepKey, keptKey, loaded } from './choices'
import { Composer } from './composer'
import { ConnectionPanel } from './connection'
import { SettingsPanel } from './settings'
import { TimingPanel } from './timing'
import { pageTools } from './tools'
import { TranscriptPanel } from './transcript'

type Panel = 'talk' | 'timing' | 'connection' | 'captions' | 'settings'

/** On a phone the conversation is one of them; elsewhere it is always there. */
const PANELS: readonly { id: Panel; title: string }[] = [
  { id: 'talk', title: 'Talk' },
  { id: 'timing', title: 'Timing' },
  { id: 'connection', title: 'Connection' },
  { id: 'captions', title: 'Captions' },
  { id: 'settings', title: 'Settings' },
]

export function App() {
  const [choices, setChoices] = useState<Choices>(loaded)
  const [key, setKey] = useState(keptKey)
  const isNarrow = useIsNarrow()
  const [chosen, setPanel] = useState<Panel>('talk')
  const panel = chosen === 'talk' && !isNarrow ? 'timing' : chosen
  const level = useRef<(dbfs: number) => void>(() => undefined)
  const setTheme = (theme: Theme) => setChoices((before) => ({ ...before, theme }))
  const tools = useMemo(() => pageTools(setTheme), [])
  const [conversation, state] = useConversation(choices.transport, (dbfs) => level.current(dbfs))
  const isOn = state.link.state !== 'idle' && state.link.state !== 'failed'
  const isHandsFree = choices.wishes.detection.kind !== 'none'

  useEffect(() => keep(choices), [choices])
  useEffect(() => keepKey(key), [key])
  useEffect(() => {
    document.documentElement.dataset['theme'] = choices.theme
  }, [choices.theme])
  const wishes = useMemo<Wishes>(() => {
    const offered = tools.filter((one) => choices.offered.includes(one.tool.name)).map((one) => one.tool)
    return { ...choices.wishes, tools: [...offered, ...choices.ownTools] }
  }, [choices.wishes, choices.offered, choices.ownTools])
  useEffect(() => {
    conversation.offer(tools)
    conversation.want(wishes)
  }, [wishes])
  useEffect(() => void conversation.choose(choices.microphoneId), [choices.microphoneId])
  useShortcuts(conversation, isHandsFree, state)

  const log = useRef<HTMLDivElement>(null)
  const connectWith = (key: string | null) => {
    // The button is about to go, and the keys are for speaking now.
    log.current?.focus({ preventScroll: true })
    void conversation.connect({ origin: location.origin, key }, choices.transport)
  }
  const connect = () => connectWith(key)
  const useTransport = (transport: TransportKind) => {
    setChoices({ ...choices, transport })
    if (isOn) {
      conversation.disconnect()
      void conversation.connect({ origin: location.origin, key }, transport)
    }
  }

  return (
    <div class="frame">
      <header class="bar">
        <h1 class="brand">
          <Mark /> Antiphon
        </h1>
        <Status state={state} />
        <Grade state={state} onLook={() => setPanel('connection')} />
        <div class="bar-end">
          <Transports chosen={choices.transport} onChoose={useTransport} />
          {isOn ? (
            <button key="hang-up" class="button" onClick={() => conversation.disconnect()}>Hang up</button>
          ) : (
            <button key="connect" class="button primary" onClick={connect}>Connect</button>
          )}
        </div>
      </header>

      <main class="columns" data-panel={panel}>
        {isNarrow && <Tabs panels={PANELS} chosen={panel} onChoose={setPanel} />}
        <section
          class="talk" id="panel-talk" aria-label="Conversation"
        >
          <Banner
            state={state} hasKey={key !== null} onConnect={connect} onStop={() => conversation.disconnect()}
            onKey={(typed) => {
              setKey(typed)
              connectWith(typed)
            }}
            onSound={() => void conversation.unhold()}
            onMicrophone={(chosen) => {
              if (chosen === null || chosen === choices.microphoneId) void conversation.choose(choices.microphoneId)
              else setChoices({ ...choices, microphoneId: chosen })
            }}
          />
          <Captions
            state={state} log={log} onConnect={connect} onSuggest={(text) => conversation.write(text)}
            onDismiss={() => conversation.dismiss()}
            onAnswer={(callId, output) => conversation.answer(callId, output)}
            onStopTool={(callId) => conversation.stopTool(callId)}
            onAllow={(callId, isAllowed) => conversation.allow(callId, isAllowed)}
          />
          <Composer
            state={state} isHandsFree={isHandsFree} level={level} conversation={conversation}
          />
        </section>

        <aside class="side" aria-label="Details">
          {!isNarrow && <Tabs panels={PANELS.slice(1)} chosen={panel} onChoose={setPanel} />}
          <div class="panel" role="tabpanel" id={`panel-${panel}`} aria-labelledby={`tab-${panel}`} tabIndex={0}>
            {panel === 'timing' && (
              <TimingPanel
                timings={state.session.timings} budgetMs={choices.budgetMs}
                onBudget={(budgetMs) => setChoices({ ...choices, budgetMs })}
              />
            )}
            {panel === 'connection' && <ConnectionPanel state={state} transport={choices.transport} />}
            {panel === 'captions' && (
              <TranscriptPanel
                keyText={key} microphoneId={choices.microphoneId} language={choices.captionLanguage}
                onLanguage={(captionLanguage) => setChoices({ ...choices, captionLanguage })}
              />
            )}
            {panel === 'settings' && (
              <SettingsPanel
                choices={choices} tools={tools} state={state} keyText={key ?? ''} onChange={setChoices}
                onKey={(typed) => setKey(typed || null)} onForget={() => void conversation.restart()}
              />
            )}
          </div>
        </aside>
      </main>
    </div>
  )
}

/** Whether there is room for one column only, as the style sheet has it. */
function useIsNarrow(): boolean {
  const [query] = useState(() => matchMedia('(max-width: 56rem)'))
  const [isNarrow, setIsNarrow] = useState(query.matches)
  useEffect(() => {
    const look = () => setIsNarrow(query.matches)
    query.addEventListener('change', look)
    return () => query.removeEventListener('change', look)
  }, [])
  return isNarrow
}

function useConversation(transport: TransportKind, onLevel: (dbfs: number) => void): [Conversation, ConversationState] {
  const [made] = useState(() => {
    const listeners: { show: (state: ConversationState) => void } = { show: () => undefined }
    const address = { origin: location.origin, key: null }
    const conversation = new Conversation(address, transport, [], { onState: (now) => listeners.show(now), onLevel })
    return { conversation, listeners }
  })
  const [state, setState] = useState(made.conversation.state)
  useEffect(() => {
    // Sound comes ten times a second and tells of itself; a person sees no more than one picture of it each frame.
    let frame = 0
    made.listeners.show = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0
        setState(made.conversation.state)
      })
    }
    return () => cancelAnimationFrame(frame)
  }, [])
  return [made.conversation, state]
}

const TYPING = 'input:not([type=radio], [type=checkbox], [type=range]), textarea, select'

/** Space to speak, M to mute, Escape to stop the answer; no letter where one types, no space where it presses something. */
function useShortcuts(conversation: Conversation, isHandsFree: boolean, state: ConversationState): void {
  const now = useRef({ isHandsFree, isMuted: state.isMuted })
  now.current = { isHandsFree, isMuted: state.isMuted }
  useEffect(() => {
    const isIn = (event: KeyboardEvent, places: string) => event.target instanceof Element && event.target.closest(places) !== null
    const down = (event: KeyboardEvent) => {
      if (event.key === 'Escape') return conversation.interrupt()
      if (isIn(event, TYPING) || event.ctrlKey || event.metaKey || event.altKey) return
      if (event.key === ' ' && !now.current.isHandsFree && !isIn(event, 'input, button, summary')) {
        event.preventDefault()
        if (!event.repeat) conversation.press()
      }
      if (event.key.toLowerCase() === 'm' && now.current.isHandsFree) conversation.mute(!now.current.isMuted)
    }
    const up = (event: KeyboardEvent) => {
      if (event.key === ' ') conversation.release()
    }
    addEventListener('keydown', down)
    addEventListener('keyup', up)
    return () => {
      removeEventListener('keydown', down)
      removeEventListener('keyup', up)
    }
  }, [])
}

function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="var(--accent)" />
      <g stroke="#fff" stroke-width="2.6" stroke-linecap="round">
        <path d="M8 13v6M12.5 9v14" />
        <path d="M19.5 11v10M24 14v4" opacity=".65" />
      </g>
    </svg>
  )
}

const LINK_WORDS = {
  idle: 'Not connected', connecting: 'Connecting…', waiting: 'Reconnecting…', failed: 'Not connected',
}

function Status({ state }: { state: ConversationState }) {
  return (
    <p class="status" data-state={state.link.state} role="status">
      <span class="dot" aria-hidden="true" /> {activity(state)}
    </p>
  )
}

/** A connection that hurts the conversation is no matter of colour alone. */
function Grade({ state, onLook }: { state: ConversationState; onLook: () => void }) {
  const { grade } = judged(state.quality)
  if (state.link.state !== 'connected' || (grade !== 'fair' && grade !== 'poor')) return null
  return (
    <button class="grade" data-grade={grade} onClick={onLook}>{grade === 'poor' ? 'Poor connection' : 'Fair connection'}</button>
  )
}

function activity({ link, session, playback, isPressed }: ConversationState): string {
  if (link.state === 'waiting' && session.session === null) return LINK_WORDS.connecting
  if (link.state !== 'connected') return LINK_WORDS[link.state]
  if (session.isPersonSpeaking || isPressed) return 'Listening'
  if (playback?.track || session.playing) return 'Speaking'
  if (session.responding) return 'Thinking'
  return 'Connected'
}

function Transports({ chosen, onChoose }: { chosen: TransportKind; onChoose: (kind: TransportKind) => void }) {
  return (
    <fieldset class="segments">
      <legend class="unseen">How to connect</legend>
      {(['websocket', 'webrtc'] as const).map((kind) => (
        <label key={kind}>
          <input type="radio" name="transport" checked={chosen === kind} onChange={() => onChoose(kind)} />
          <span>{kind === 'websocket' ? 'WebSocket' : 'WebRTC'}</span>
        </label>
      ))}
    </fieldset>
  )
}

interface TabsProps {
  panels: typeof PANELS
  chosen: Panel
  onChoose: (panel: Panel) => void
}

function Tabs({ panels, chosen, onChoose }: TabsProps) {
  const move = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0
    if (step === 0) return
    const next = panels[(panels.findIndex((one) => one.id === chosen) + step + panels.length) % panels.length]!
    onChoose(next.id)
    document.getElementById(`tab-${next.id}`)?.focus()
  }
  return (
    <div class="tabs" role="tablist" aria-label="Details" onKeyDown={move}>
      {panels.map(({ id, title }) => (
        <button
          key={id} id={`tab-${id}`} role="tab" aria-selected={chosen === id} aria-controls={chosen === id ? `panel-${id}` : undefined}
          tabIndex={chosen === id ? 0 : -1} onClick={() => onChoose(id)}
        >
          {title}
        </button>
      ))}
    </div>
  )
}
