/** What both sides say, as they say it; and the tools that were called in between. */

import { useLayoutEffect, useRef, useState } from 'preact/hooks'

import { type AssistantEntry, type ConversationState, type Entry, type ToolEntry, type UserEntry, heardAndNot } from '../client'

const SUGGESTIONS = [
  'What time is it in Tokyo?', 'What is twelve times seven?', 'How many miles are ten kilometres?', 'Set a timer for ten seconds.',
]

interface Props {
  state: ConversationState
  onConnect: () => void
  onSuggest: (text: string) => void
  onAnswer: (callId: string, output: string) => void
  onStopTool: (callId: string) => void
}

export function Captions({ state, onConnect, onSuggest, ...calls }: Props) {
  const { entries, problems } = state.session
  const log = useRef<HTMLDivElement>(null)
  useStuckToTheEnd(log, entries)
  return (
    <div class="log" ref={log} tabIndex={0} aria-label="What was said">
      {entries.length === 0 && <Welcome isConnected={state.link.state === 'connected'} {...{ onConnect, onSuggest }} />}
      <ol aria-live="polite" aria-relevant="additions text">
        {entries.map((entry) => (
          <li key={entry.id} class={`entry ${entry.kind}`}>
            <Line entry={entry} {...calls} />
          </li>
        ))}
      </ol>
      {problems.slice(-1).map((problem) => (
        <p key={problem.atMs} class="problem" role="alert">
          The server said: {problem.message}
        </p>
      ))}
    </div>
  )
}

function Welcome({ isConnected, onConnect, onSuggest }: { isConnected: boolean; onConnect: () => void; onSuggest: (text: string) => void }) {
  return (
    <div class="welcome">
      <h2>{isConnected ? 'Say something' : 'Talk to your server'}</h2>
      <p>
        {isConnected
          ? 'Speak, or choose one of these. Speak again at any time to interrupt.'
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

type CallActions = Pick<Props, 'onAnswer' | 'onStopTool'>

function Line({ entry, ...calls }: { entry: Entry } & CallActions) {
  switch (entry.kind) {
    case 'user':
      return <Person entry={entry} />
    case 'assistant':
      return <Answer entry={entry} />
    case 'tool':
      return <Call entry={entry} {...calls} />
  }
}

function Person({ entry }: { entry: UserEntry }) {
  const waiting = { speaking: 'Listening…', recognising: 'Recognising…', failed: 'This could not be understood.', done: '(nothing was understood)' }
  return (
    <>
      <span class="who">You{entry.isSpoken ? '' : ', typed'}</span>
      <p class="said">{entry.text || <span class="dim">{waiting[entry.state]}</span>}</p>
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

function Call({ entry, onAnswer, onStopTool }: { entry: ToolEntry } & CallActions) {
  const [typed, setTyped] = useState('')
  const isWaiting = entry.output === null
  return (
    <details class="call" data-ok={entry.ok} open={isWaiting && entry.place === 'page'}>
      <summary>
        <span class="call-name">{entry.name}</span>
        <span class="call-state">
          {isWaiting ? entry.progress || 'running…' : `${entry.ok ? '' : 'failed, '}${Math.max(1, Math.round((entry.endedMs ?? entry.beganMs) - entry.beganMs))} ms`}
          {entry.place === 'server' ? ' on the server' : ' in this page'}
        </span>
      </summary>
      <dl>
        <dt>Arguments</dt>
        <dd><pre>{pretty(entry.arguments)}</pre></dd>
        <dt>Result</dt>
        <dd>
          {isWaiting && entry.place === 'page' ? (
            <form
              class="inline"
              onSubmit={(event) => {
                event.preventDefault()
                onAnswer(entry.id, typed)
              }}
            >
              <input aria-label={`Result of ${entry.name}`} value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
              <button class="button">Answer</button>
            </form>
          ) : (
            <pre>{entry.output === null ? entry.progress || '…' : pretty(entry.output)}</pre>
          )}
        </dd>
      </dl>
      {isWaiting && entry.place === 'server' && (
        <button class="button small" onClick={() => onStopTool(entry.id)}>Stop this tool</button>
      )}
    </details>
  )
}

function pretty(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2)
  } catch {
    return json
  }
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
