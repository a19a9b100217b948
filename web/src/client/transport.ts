/** What a connection to the server is, whichever way it goes. */

import type { ClientMessage, ServerMessage } from './messages'
import type { Return } from './resumption'

export type TransportKind = 'websocket' | 'webrtc'

export interface Transport {
  readonly kind: TransportKind
  send(message: ClientMessage): void
  /** Hang up. `onClosed` is not called for it. */
  close(): void
}

export interface TransportEvents {
  onMessage(message: ServerMessage): void
  /** The connection is gone, and not by our wish. */
  onClosed(closed: Closed): void
}

export interface Closed {
  /** In words for a person. */
  readonly message: string
  /** Whether trying again may help. */
  readonly mayReturn: boolean
}

/** Where the server is and who asks. */
export interface Address {
  /** Such as "http://127.0.0.1:8765"; the page's own origin as a rule. */
  readonly origin: string
  readonly key: string | null
}

/** Why there is no connection, in words for a person. */
export class ConnectionError extends Error {
  /** 'warming': it will let us in soon. 'gone': the session that was to go on is over. */
  readonly code: 'away' | 'key' | 'refused' | 'busy' | 'warming' | 'unable' | 'gone'

  constructor(code: ConnectionError['code'], message: string) {
    super(message)
    this.code = code
  }

  get mayReturn(): boolean {
    return this.code === 'away' || this.code === 'busy' || this.code === 'warming'
  }
}

/** What is asked of the server in an address: a session that may be taken up again, or the one to go on with. */
export function queryFor(back: Return | null): string {
  return back === null ? 'antiphon=1&resumable=1' : `antiphon=1&resume=${back.token}&after=${encodeURIComponent(back.after)}`
}

export function gone(): ConnectionError {
  return new ConnectionError('gone', 'The session is over.')
}

/**
 * Ask the server whether it would take us: a browser is not told why a WebSocket was refused.
 * Throws `ConnectionError`.
 */
export async function knock({ origin, key }: Address, signal?: AbortSignal): Promise<void> {
  const headers: Record<string, string> = key ? { Authorization: `Bearer ${key}` } : {}
  const answer = await asked(`${origin}/v1/models`, { headers, cache: 'no-store', signal: signal ?? null })
  if (!answer.ok) {
    const { code, message } = await errorOf(answer)
    if (code === 'client_secret_expired') throw new ConnectionError('key', message)
    if (answer.status === 401) {
      throw new ConnectionError('key', key ? 'The server does not know this key.' : 'This server asks for a key.')
    }
    // A client secret opens sessions and nothing else: a server that says so knows it.
    if (code !== 'insufficient_permissions') throw new ConnectionError('refused', message)
  }
  const ready = await asked(`${origin}/ready`, { cache: 'no-store', signal: signal ?? null })
  if (!ready.ok) throw new ConnectionError('warming', 'The server is still warming up.')
}

export async function asked(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init)
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new ConnectionError('away', 'The server does not answer. Is “antiphon serve” running?')
  }
}

/** The words of an error in OpenAI's shape, or the status if it is in another. */
export async function reasonOf(answer: Response): Promise<string> {
  return (await errorOf(answer)).message
}

async function errorOf(answer: Response): Promise<{ code: string | null; message: string }> {
  const unsaid = { code: null, message: `The server said ${answer.status}.` }
  try {
    const body = (await answer.json()) as { error?: { code?: string | null; message?: string } }
    return { ...unsaid, ...body.error }
  } catch {
    return unsaid
  }
}
