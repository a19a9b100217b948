/** The Realtime protocol over WebRTC: messages on a data channel, sound on a track each way, played by the browser. */

import type { ClientMessage, ServerMessage } from './messages'
import type { Return } from './resumption'
import {
  type Address, ConnectionError, type Transport, type TransportEvents, asked, gone, knock, queryFor, reasonOf,
} from './transport'

const OPENING_MS = 15_000
const NO_PATH = 'The call was taken, but no way to the server was found. Choose WebSocket.'
const LISTENING_MS = 2_000
const LOOK_MS = 10
const FRESH_MS = 60
const AUDIBLE = 0.001 // of full scale: 60 dB below it is silence
const AWAY_MS = 5_000 // a connection that is "disconnected" often comes back by itself

export class CallTransport implements Transport {
  readonly kind = 'webrtc'
  readonly peer: RTCPeerConnection
  readonly #channel: RTCDataChannel
  readonly #output: HTMLAudioElement
  readonly #events: TransportEvents
  #away: ReturnType<typeof setTimeout> | undefined
  #isOver = false

  private constructor(
    peer: RTCPeerConnection, channel: RTCDataChannel, output: HTMLAudioElement, events: TransportEvents,
  ) {
    this.peer = peer
    this.#channel = channel
    this.#output = output
    this.#events = events
    // Only now: a call that does not come about ends by an error, and is not one that was lost.
    channel.onmessage = (event: MessageEvent<string>) => events.onMessage(JSON.parse(event.data) as ServerMessage)
    channel.onclose = () => this.#lose('The server ended the call.')
    peer.onconnectionstatechange = () => this.#watch()
  }

  /**
   * Call the server, to go on with a session if it says which. Its voice goes to `output`; `microphone` may be null,
   * for a person who types. Throws `ConnectionError`.
   */
  static async open(
    address: Address, microphone: MediaStreamTrack | null, output: HTMLAudioElement, events: TransportEvents,
    back: Return | null = null, signal?: AbortSignal,
  ): Promise<CallTransport> {
    if (typeof RTCPeerConnection === 'undefined') throw new ConnectionError('unable', 'This browser has no WebRTC.')
    await knock(address, signal)
    const peer = new RTCPeerConnection()
    output.muted = false
    try {
      const sender = peer.addTransceiver(microphone ?? 'audio', { direction: 'sendrecv' }).sender
      if (microphone === null) await sender.replaceTrack(null)
      peer.ontrack = (event) => {
        output.srcObject = event.streams[0] ?? new MediaStream([event.track])
        void output.play().catch(() => undefined) // the browser wants a click first; the page's button was one
      }
      const channel = peer.createDataChannel('oai-events')
      await peer.setLocalDescription(await peer.createOffer())
      await peer.setRemoteDescription({ type: 'answer', sdp: await answer(address, peer, back, signal) })
      await opened(peer, channel, signal)
      return new CallTransport(peer, channel, output, events)
    } catch (error) {
      peer.close()
      throw error
    }
  }

  send(message: ClientMessage): void {
    if (this.#channel.readyState === 'open') this.#channel.send(JSON.stringify(message))
  }

  /** Speak through another microphone from now on, or through none. */
  async use(microphone: MediaStreamTrack | null): Promise<void> {
    await this.peer.getSenders()[0]?.replaceTrack(microphone)
  }

  /** Fall silent now: what is on its way, and in the browser's own buffer, would be heard for another 100 ms. */
  hush(): void {
    this.#output.muted = true
  }

  /** What comes from here on is to be heard again. */
  unhush(): void {
    this.#output.muted = false
  }

  /** When sound from the server is heard next, on `performance`'s clock; null if none is within two seconds. */
  async audible(): Promise<number | null> {
    const end = performance.now() + LISTENING_MS
    while (performance.now() < end && !this.#isOver) {
      const [source] = this.peer.getReceivers()[0]?.getSynchronizationSources() ?? []
      const nowMs = performance.now()
      // What was heard last is told for ten seconds: it has to be of now.
      const isFresh = source !== undefined && performance.timeOrigin + nowMs - source.timestamp < FRESH_MS
      if (isFresh && (source.audioLevel ?? 1) > AUDIBLE) return nowMs
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
    return null
  }

  close(): void {
    this.#isOver = true
    clearTimeout(this.#away)
    this.#channel.onclose = this.#channel.onmessage = null
    this.peer.onconnectionstatechange = null
    this.#channel.close()
    this.peer.close()
  }

  #watch(): void {
    clearTimeout(this.#away)
    const state = this.peer.connectionState
    if (state === 'failed' || state === 'closed') this.#lose('The connection was lost.')
    if (state === 'disconnected') this.#away = setTimeout(() => this.#lose('The connection was lost.'), AWAY_MS)
  }

  #lose(message: string): void {
    if (this.#isOver) return
    this.close()
    this.#events.onClosed({ message, mayReturn: true })
  }
}

async function answer(
  address: Address, peer: RTCPeerConnection, back: Return | null, signal?: AbortSignal,
): Promise<string> {
  const headers: Record<string, string> = { 'Content-Type': 'application/sdp' }
  if (address.key) headers['Authorization'] = `Bearer ${address.key}`
  const body = peer.localDescription?.sdp ?? ''
  const url = `${address.origin}/v1/realtime/calls?${queryFor(back)}`
  const reply = await asked(url, { method: 'POST', headers, body, signal: signal ?? null })
  if (back !== null && (reply.status === 404 || reply.status === 409)) throw gone()
  if (reply.status === 404) throw new ConnectionError('unable', 'This server has no WebRTC. Choose WebSocket.')
  if (reply.status === 503) throw new ConnectionError('busy', await reasonOf(reply))
  if (!reply.ok) throw new ConnectionError('refused', await reasonOf(reply))
  return await reply.text()
}

/** The channel is open. Throws `ConnectionError` if no packet gets through, be it by UDP or by a relay. */
async function opened(peer: RTCPeerConnection, channel: RTCDataChannel, signal?: AbortSignal): Promise<void> {
  if (channel.readyState === 'open') return
  const over = new AbortController()
  const until = { once: true, signal: over.signal }
  try {
    await new Promise<void>((resolve, reject) => {
      const noPath = () => reject(new ConnectionError('unable', NO_PATH))
      const timer = setTimeout(noPath, OPENING_MS)
      over.signal.addEventListener('abort', () => clearTimeout(timer))
      signal?.addEventListener('abort', () => reject(new DOMException('given up', 'AbortError')), until)
      peer.addEventListener('connectionstatechange', () => peer.connectionState === 'failed' && noPath(), { signal: over.signal })
      channel.addEventListener('open', () => resolve(), until)
    })
  } finally {
    over.abort()
  }
}
