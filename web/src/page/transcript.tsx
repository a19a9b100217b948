/** Live captions: what is said is written down, and nobody answers. */

import { useEffect, useRef, useState } from 'preact/hooks'

import { type CaptionState, LiveCaptions, NO_CAPTIONS } from '../client'

interface Props {
  /** What to connect with. */
  keyText: string | null
  microphoneId: string | null
  /** That is spoken; empty: the recogniser decides. */
  language: string
  onLanguage: (language: string) => void
}

export function TranscriptPanel({ keyText, microphoneId, language, onLanguage }: Props) {
  const [state, setState] = useState<CaptionState>(NO_CAPTIONS)
  const [captions] = useState(() => new LiveCaptions(setState))
  const end = useRef<HTMLLIElement>(null)
  useEffect(() => () => captions.close(), [])
  useEffect(() => end.current?.scrollIntoView({ block: 'nearest' }), [state.lines])
  const address = { origin: location.origin, key: keyText }
  const isOff = state.state === 'off'
  return (
    <section class="transcript" aria-label="Live captions">
      <p class="dim">What is said is written down while it is said. Nobody answers.</p>
      <label class="field">
        <span>Language</span>
        <input
          value={language} placeholder="the recogniser decides" autocomplete="off" spellcheck={false} list="spoken-languages"
          onChange={(event) => {
            const spoken = event.currentTarget.value.trim()
            onLanguage(spoken)
            captions.expect(spoken || null)
          }}
        />
        <datalist id="spoken-languages">
          {OWN_LANGUAGES.map((name) => <option key={name} value={name} />)}
        </datalist>
      </label>
      {isOff ? (
        <button class="button primary" onClick={() => void captions.start(address, microphoneId, language || null)}>
          Write down
        </button>
      ) : (
        <button class="button" disabled={state.state !== 'listening'} onClick={() => captions.stop()}>
          {state.state === 'starting' ? 'Starting…' : state.state === 'ending' ? 'Ending…' : 'Stop'}
        </button>
      )}
      {state.problem && <p class="problem" role="alert">{state.problem}</p>}
      <ol class="caption-lines" aria-live="polite">
        {state.lines.map((line) => (
          <li key={line.id} data-over={line.isOver}>
            <time>{clock(line.start)}</time>
            <p>{line.stable}<span class="coming" aria-live="off">{line.tail}</span></p>
          </li>
        ))}
        <li ref={end} aria-hidden="true" />
      </ol>
    </section>
  )
}

/** English names of the languages that the person reads, as the browser has been told. */
const NAMES = new Intl.DisplayNames(['en'], { type: 'language' })
const OWN_LANGUAGES = [...new Set(navigator.languages.map((code) => NAMES.of(new Intl.Locale(code).language)!))]

function clock(seconds: number): string {
  const whole = Math.floor(seconds)
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`
}
