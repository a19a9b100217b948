/** What both sides say, as they say it; and the tools that were called in between. */

import { useLayoutEffect, useRef } from 'preact/hooks'

import { type AssistantEntry, type ConversationState, type Entry, type GapEntry, type UserEntry, heardAndNot } from '../client'
import { Call, type CallActions } from './call'

const SUGGESTIONS = [
  'What time is it in Tokyo?', 'What is twelve times seven?', 'How many miles are ten kilometres?', 'Set a timer for ten seconds.',
]

interface Props extends CallActions {
  state: ConversationState
  onConnect: () => void
  onSuggest: (text: string) => void
  onDismiss: () => void
  log: { current: HTMLDivElement | null }
}

export function Captions({ state, onConnect, onSuggest, onDismiss, log, ...calls }: Props) {
  const { entries, problem } = state.session
  useStuckToTheEnd(log, entries)
  return (
    <div class="log" ref={log} tabIndex={0} aria-label="What was said">
      {entries.length === 0 && <Welcome state={state} {...{ onConnect, onSuggest }} />}
      <ol aria-live="polite" aria-relevant="additions text">
        {entries.map((entry) => (
          <li key={entry.id} class={`entry ${entry.kind}`}>
            <Line entry={entry} {...calls} />
          </li>
        ))}
      </ol>
      {problem && (
        <div class="problem dismissible" role="alert">
          <p>The server said: {problem.message}</p>
          <button class="button small" onClick={onDismiss}>Dismiss</button>
        </div>
      )}
    </div>
  )
}

type WelcomeProps = Pick<Props, 'state' | 'onConnect' | 'onSuggest'>

function Welcome({ state, onConnect, onSuggest }: WelcomeProps) {
  const isConnected = state.link.state === 'connected'
  const canSpeak = state.microphone.state !== 'fault'
  return (
    <div class="welcome">
      <h2>{!isConnected ? 'Talk to your server' : canSpeak ? 'Say something' : 'Ask something'}</h2>
      <p>
        {isConnected
          ? `${canSpeak ? 'Speak' : 'Type'}, or choose one of these. ${canSpeak ? 'Speak' : 'Type'} again at any time to interrupt.`
          : 'It hears you, answers aloud, and stops when you speak again. The Timing panel shows where the time of each answer goes.'}
      </p>
      {isConnected ? (
        <ul class="suggestions">
          {SUGGESTIONS.map((text) => (
            <li key={text}><button class="button" onClick={() => onSuggest(text)}>{text}</button></li>
          ))}
        </ul>
      ) : (
        <button class="button primary large" onClick={onConnect}>Connect and talk</button>
      )}
    </div>
  )
}

function Line({ entry, ...calls }: { entry: Entry } & CallActions) {
  switch (entry.kind) {
    case 'user':
      return <Person entry={entry} />
    case 'assistant':
      return <Answer entry={entry} />
    case 'tool':
      return <Call entry={entry} {...calls} />
    case 'gap':
      return <Gap entry={entry} />
  }
}

function Person({ entry }: { entry: UserEntry }) {
  const waiting = { speaking: 'Listening…', recognising: 'Recognising…', failed: 'This could not be understood.', done: '(nothing was understood)' }
  return (
    <>
      <span class="who">You{entry.isSpoken ? '' : ', typed'}</span>
      <p class="said">
        {entry.text}
        {entry.tail && <span class="coming" aria-live="off">{entry.tail}</span>}
        {!entry.text && !entry.tail && <span class="dim">{waiting[entry.state]}</span>}
      </p>
    </>
  )
}

function Answer({ entry }: { entry: AssistantEntry }) {
  const { heard, rest } = heardAndNot(entry)
  const isCut = entry.state === 'cut'
  return (
    <>
      <span class="who">Antiphon</span>
      <p class="said">
        {heard}
        {rest && (isCut ? <s class="unheard" title="This was not heard: you interrupted.">{rest}</s> : <span class="coming">{rest}</span>)}
        {!heard && !rest && !isCut && <span class="dim">…</span>}
      </p>
      {isCut && <span class="note">interrupted{rest ? '; what is struck out was not heard' : ''}</span>}
    </>
  )
}

function Gap({ entry }: { entry: GapEntry }) {
  const seconds = Math.max(1, Math.round(entry.lengthMs / 1000))
  return (
    <p>
      The connection was gone for {seconds} s. {entry.isComplete ? 'Nothing was lost.' : 'Some of what came meanwhile is lost.'}
    </p>
  )
}

/** Keep the newest in view, unless somebody has scrolled up to read. */
function useStuckToTheEnd(log: { current: HTMLDivElement | null }, entries: readonly Entry[]): void {
  const isAtEnd = useRef(true)
  useLayoutEffect(() => {
    const element = log.current!
    const look = () => {
      isAtEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < 60
    }
    element.addEventListener('scroll', look, { passive: true })
    return () => element.removeEventListener('scroll', look)
  }, [])
  useLayoutEffect(() => {
    if (isAtEnd.current) log.current!.scrollTop = log.current!.scrollHeight
  }, [entries])
}
