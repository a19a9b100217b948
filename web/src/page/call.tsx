/** A call of a tool: what is asked of the person, what is under way, what came of it. */

import { useState } from 'preact/hooks'

import type { ToolEntry } from '../client'

export interface CallActions {
  onAnswer: (callId: string, output: string) => void
  onStopTool: (callId: string) => void
  onAllow: (callId: string, isAllowed: boolean) => void
}

const PLACES = { server: 'on the server', page: 'in this page', mcp: 'on an MCP server' }
const NOT_DONE = { refused: 'not allowed', expired: 'not allowed in time' }

export function Call({ entry, onAllow, ...actions }: { entry: ToolEntry } & CallActions) {
  return entry.permission?.state === 'asked' ? (
    <Question entry={entry} onAllow={(isAllowed) => onAllow(entry.id, isAllowed)} />
  ) : (
    <Course entry={entry} {...actions} />
  )
}

function Question({ entry, onAllow }: { entry: ToolEntry; onAllow: (isAllowed: boolean) => void }) {
  const [isAnswered, setIsAnswered] = useState(false)
  const answer = (event: Event, isAllowed: boolean) => {
    setIsAnswered(true)
    // The button is about to go: who has pressed it by keyboard goes on from the conversation.
    if (event.currentTarget instanceof Element) event.currentTarget.closest<HTMLElement>('.log')?.focus()
    onAllow(isAllowed)
  }
  return (
    <div class="call question" role="group" aria-label={`Permission for ${entry.name}`}>
      <p role="alert">May Antiphon run <code>{entry.name}</code>?</p>
      <Arguments json={entry.arguments} />
      <div class="row">
        <button class="button primary" disabled={isAnswered} onClick={(event) => answer(event, true)}>Allow</button>
        <button class="button" disabled={isAnswered} onClick={(event) => answer(event, false)}>Don’t</button>
        <span class="dim">or say yes or no{within(entry)}</span>
      </div>
    </div>
  )
}

/** How long one may take to answer, if there is a limit. */
function within({ permission, beganMs }: ToolEntry): string {
  return permission?.untilMs == null ? '' : `, within ${Math.round((permission.untilMs - beganMs) / 1000)} s`
}

/** What it would be run with, one line for each, in place of JSON. */
function Arguments({ json }: { json: string }) {
  const given = Object.entries(parsed(json))
  if (given.length === 0) return null
  return (
    <dl class="given">
      {given.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{typeof value === 'string' ? value : JSON.stringify(value)}</dd>
        </div>
      ))}
    </dl>
  )
}

function parsed(json: string): Record<string, unknown> {
  try {
    const found: unknown = JSON.parse(json || '{}')
    return typeof found === 'object' && found !== null ? { ...found } : { given: found }
  } catch {
    return { given: json }
  }
}

function Course({ entry, onAnswer, onStopTool }: { entry: ToolEntry } & Omit<CallActions, 'onAllow'>) {
  const isOver = entry.output !== null || isForbidden(entry)
  const isForPerson = !isOver && entry.place === 'page'
  return (
    <details class="call" data-ok={entry.ok && !isForbidden(entry)} open={isForPerson}>
      <summary>
        <span class="call-name">{entry.name}</span>
        <span class="call-state">{stateOf(entry)}</span>
      </summary>
      <dl>
        <dt>Arguments</dt>
        <dd><pre>{pretty(entry.arguments)}</pre></dd>
        {!isForbidden(entry) && <dt>Result</dt>}
        {!isForbidden(entry) && (
          <dd>
            {isForPerson ? (
              <ByHand name={entry.name} onAnswer={(output) => onAnswer(entry.id, output)} />
            ) : (
              <pre>{entry.output === null ? entry.progress || '…' : pretty(entry.output)}</pre>
            )}
          </dd>
        )}
      </dl>
      {!isOver && entry.place === 'server' && (
        <button class="button small" onClick={() => onStopTool(entry.id)}>Stop this tool</button>
      )}
    </details>
  )
}

function ByHand({ name, onAnswer }: { name: string; onAnswer: (output: string) => void }) {
  const [typed, setTyped] = useState('')
  return (
    <form
      class="inline"
      onSubmit={(event) => {
        event.preventDefault()
        onAnswer(typed)
      }}
    >
      <input aria-label={`Result of ${name}`} value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
      <button class="button">Answer</button>
    </form>
  )
}

function stateOf(entry: ToolEntry): string {
  const said = entry.permission?.state
  if (entry.output === null && (said === 'refused' || said === 'expired')) return NOT_DONE[said]
  if (entry.output === null) return `${entry.progress || 'running…'} ${PLACES[entry.place]}`
  return `${entry.ok ? '' : 'failed, '}${durationOf(entry)}${PLACES[entry.place]}`
}

/** By the server's own clock where it ran the tool; of an MCP server's call there is only when its messages came. */
function durationOf({ place, beganMs, endedMs, tookMs }: ToolEntry): string {
  const ms = place === 'server' ? tookMs : (endedMs ?? beganMs) - beganMs
  return ms === null ? '' : `${place === 'mcp' ? 'about ' : ''}${Math.max(1, Math.round(ms))} ms `
}

function isForbidden({ permission, output }: ToolEntry): boolean {
  return output === null && (permission?.state === 'refused' || permission?.state === 'expired')
}

function pretty(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2)
  } catch {
    return json
  }
}
