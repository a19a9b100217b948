/**
 * A call of a tool as the messages tell it: asked about, running, over. Pure, like `session`, whose entries these are.
 *
 * One entry for each call, whoever runs it: this page, the server, or an MCP server that a client named. It does not know
 * what else there is in a conversation.
 */

import type { Item, ServerMessage } from './messages'

export interface ToolEntry {
  readonly kind: 'tool'
  /** The call's id; of a call of a client's MCP server, its item's. */
  readonly id: string
  readonly responseId: string
  readonly name: string
  readonly arguments: string
  readonly output: string | null
  /** How far it is, in its own words. */
  readonly progress: string
  readonly ok: boolean
  readonly place: 'server' | 'page' | 'mcp'
  readonly beganMs: number
  readonly endedMs: number | null
  /** How long it took by the server's own clock, once the server has said so. */
  readonly tookMs: number | null
  /** Null: nobody has to be asked. */
  readonly permission: Permission | null
}

/** What the person says to a call that runs only if they allow it. */
export interface Permission {
  readonly state: 'asked' | 'allowed' | 'refused' | 'expired'
  /** Until when it can be answered; null if the server has not said. */
  readonly untilMs: number | null
  /** Of an MCP server's call: the id of the request that is answered. */
  readonly requestId: string | null
}

type Beginning = Pick<ToolEntry, 'id' | 'responseId' | 'name' | 'arguments' | 'place' | 'beganMs'>

export function called(beginning: Beginning): ToolEntry {
  return { kind: 'tool', output: null, progress: '', ok: true, endedMs: null, tookMs: null, permission: null, ...beginning }
}

/** The call that this message is about, as it is now; null if it is about none. */
export function toldOfCall(
  message: ServerMessage, known: (id: string) => ToolEntry | undefined, atMs: number,
): ToolEntry | null {
  switch (message.type) {
    case 'antiphon.approval.requested': {
      const permission: Permission = { state: 'asked', untilMs: atMs + 1000 * message.expires_in_s, requestId: null }
      return { ...called({ ...beginningOf(message), responseId: '', beganMs: atMs }), permission }
    }
    case 'antiphon.approval.done':
      return decided(known(message.call_id), outcomeOf(message.outcome))
    case 'antiphon.tool.started': {
      const permission = known(message.call_id)?.permission ?? null
      return { ...called({ ...beginningOf(message), responseId: message.response_id, beganMs: atMs }), permission }
    }
    case 'antiphon.tool.progress':
      return changed(known(message.call_id), { progress: message.text })
    case 'antiphon.tool.done':
    case 'antiphon.task.done': // which took longer than what was told of it before
      return changed(known(message.call_id), { output: message.output, ok: message.ok, endedMs: atMs, tookMs: null })
    default:
      return null
  }
}

/** What an item says of a call of a client's MCP server; null if it is not about one. */
export function toldOfMcp(item: Item, entries: readonly { kind: string }[], responseId: string, atMs: number): ToolEntry | null {
  const calls = entries.filter((entry): entry is ToolEntry => entry.kind === 'tool')
  if (item.type === 'mcp_approval_response') {
    const asked = calls.find((call) => call.permission?.requestId === item.approval_request_id)
    return decided(asked, item.approve ? 'allowed' : 'refused')
  }
  if (item.type !== 'mcp_call' || !item.id) return null
  const before = calls.find((call) => call.id === item.id)
  const call = before ?? called({ id: item.id, responseId, name: item.name, arguments: '', place: 'mcp', beganMs: atMs })
  const isOver = item.output !== null || item.error !== null
  return {
    ...call,
    arguments: item.arguments || call.arguments,
    output: item.error === null ? item.output : item.error.message,
    ok: item.error === null,
    endedMs: isOver ? (call.endedMs ?? atMs) : null,
    permission: call.permission ?? permissionFor(item.approval_request_id),
  }
}

function permissionFor(requestId: string | null): Permission | null {
  return requestId === null ? null : { state: 'asked', untilMs: null, requestId }
}

function beginningOf(message: { call_id: string; name: string; arguments: string }) {
  return { id: message.call_id, name: message.name, arguments: message.arguments, place: 'server' as const }
}

function outcomeOf(outcome: string): Permission['state'] {
  return outcome === 'allowed' || outcome === 'expired' ? outcome : 'refused'
}

function decided(call: ToolEntry | undefined, state: Permission['state']): ToolEntry | null {
  return call?.permission ? { ...call, permission: { ...call.permission, state } } : null
}

function changed(call: ToolEntry | undefined, changes: Partial<ToolEntry>): ToolEntry | null {
  return call === undefined ? null : { ...call, ...changes }
}
