/** The Realtime protocol over a WebSocket: messages as text, the microphone's sound as binary frames. */

import type { ClientMessage, ServerMessage } from './messages'
import type { Return } from './resumption'
import {
  type Address, type Closed, ConnectionError, type Transport, type TransportEvents, gone, knock, queryFor,
} from './transport'

const OPENING_MS = 10_000
/** Sound that waits in the browser because the network does not take it: beyond this it is too old to be of use. */
const STALE_BYTES = 48_000 * 2
const HUNG_UP = 1000
const ABANDONED = 4000 // none with which a client says goodbye: the session waits to be taken up again

export class SocketTransport implements Transport {
  readonly kind = 'websocket'
  readonly #socket: WebSocket
  /** Frames of sound that were not sent because the network did not take them. */
  dropped = 0

  private constructor(socket: WebSocket, events: TransportEvents) {
    this.#socket = socket
    socket.onmessage = (event: MessageEvent<string>) => events.onMessage(JSON.parse(event.data) as ServerMessage)
    socket.onclose = (event) => events.onClosed(closedBecause(event))
  }

  /** Connect, to go on with a session if it says which. Throws `ConnectionError`. */
  static async open(
    address: Address, events: TransportEvents, back: Return | null = null, signal?: AbortSignal,
  ): Promise<SocketTransport> {
    await knock(address, signal)
    const url = `${address.origin.replace(/^http/, 'ws')}/v1/realtime?${queryFor(back)}`
    const protocols = ['realtime', ...(address.key ? [`openai-insecure-api-key.${address.key}`] : [])]
    try {
      return new SocketTransport(await opened(url, protocols, signal), events)
    } catch (error) {
      // Its place is kept, so that "no room" can only mean that there is no such session any more.
      throw back !== null && error instanceof ConnectionError && error.code === 'busy' ? gone() : error
    }
  }

  send(message: ClientMessage): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message))
  }

  /** 16-bit mono at 24 kHz. Sound that could not leave in time is dropped: false. */
  sendSound(pcm: ArrayBuffer): boolean {
    if (this.#socket.readyState !== WebSocket.OPEN) return false
    if (this.#socket.bufferedAmount > STALE_BYTES) {
      this.dropped += 1
      return false
    }
    this.#socket.send(pcm)
    return true
  }

  /** Sound that is known to be late, and wanted all the same. */
  sendLate(frames: readonly ArrayBuffer[]): void {
    for (const pcm of frames) this.#socket.send(pcm)
  }

  close(): void {
    this.#end(HUNG_UP)
  }

  /** Let go of a connection on which nothing comes any more, without hanging up. */
  abandon(): void {
    this.#end(ABANDONED)
  }

  #end(code: number): void {
    this.#socket.onclose = null
    this.#socket.onmessage = null
    this.#socket.close(code)
  }
}

/** A socket that is open. Throws `ConnectionError`. */
export async function opened(url: string, protocols: string[], signal?: AbortSignal): Promise<WebSocket> {
  const socket = connecting(url, protocols)
  return await new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      clearTimeout(timer)
      socket.onopen = socket.onclose = null
      socket.close()
      reject(error)
    }
    const timer = setTimeout(() => fail(new ConnectionError('away', 'The server does not answer.')), OPENING_MS)
    signal?.addEventListener('abort', () => fail(new DOMException('given up', 'AbortError')), { once: true })
    socket.onclose = () => fail(new ConnectionError('busy', 'The server has no room for another conversation now.'))
    socket.onopen = () => {
      clearTimeout(timer)
      socket.onopen = socket.onclose = null
      resolve(socket)
    }
  })
}

function connecting(url: string, protocols: string[]): WebSocket {
  try {
    return new WebSocket(url, protocols)
  } catch {
    throw new ConnectionError('key', 'This key has letters that a browser cannot send.')
  }
}

function closedBecause(event: CloseEvent): Closed {
  switch (event.reason) {
    case 'drain':
      return { message: 'The server is restarting.', mayReturn: true }
    case 'idle':
      return { message: 'The server hung up because nothing was said for a long time.', mayReturn: false }
    case 'session_expired':
      return { message: 'The longest time for one conversation is over.', mayReturn: false }
    case 'too_slow':
      return { message: 'This browser read too slowly, and the server hung up.', mayReturn: true }
    case 'limit':
      return { message: 'This key has used up what it may send.', mayReturn: false }
    default:
      return { message: 'The connection was lost.', mayReturn: true }
  }
}
