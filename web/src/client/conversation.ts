/**
 * One conversation with a server: transport, microphone, loudspeaker and state, and what joins them.
 *
 * It draws nothing. Whoever does is told of every new state, and of the microphone's level apart from it, for that one
 * changes fifty times a second. It outlives its connection: after a drop it takes the session up again, and where that is
 * over, it tells a new one what had been said.
 */

import { CallTransport } from './call'
import { Hearing, type MicrophoneState, OFF } from './hearing'
import type { ClientMessage, ServerMessage } from './messages'
import type { Frame } from './microphone'
import { type Counters, NO_COUNTERS, type Quality, between, counters } from './quality'
import { itemsOf } from './restore'
import { Resumption, type Return } from './resumption'
import { type Happening, NOTHING, type SessionState, reduce } from './session'
import { SocketTransport } from './socket'
import { type PlaybackState, Speaker } from './speaker'
import { type PageTool, ToolCalls } from './tools'
import { type Address, type Closed, ConnectionError, type TransportKind, asked } from './transport'
import { USUAL, type Wishes, patchFrom } from './wishes'

export type Link =
  | { readonly state: 'idle' }
  | { readonly state: 'connecting' }
  | { readonly state: 'connected' }
  /** It was lost, or the server is not ready yet, and will be tried again. */
  | { readonly state: 'waiting'; readonly message: string; readonly retryAtMs: number }
  | { readonly state: 'failed'; readonly message: string; readonly code: ConnectionError['code'] | 'ended' }

export interface ConversationState {
  readonly session: SessionState
  readonly link: Link
  readonly microphone: MicrophoneState
  readonly isMuted: boolean
  /** Push-to-talk is held down. */
  readonly isPressed: boolean
  readonly playback: PlaybackState | null
  readonly quality: Quality | null
  /** The browser lets nothing sound, nor be heard: it wants a click, or has no loudspeaker. */
  readonly isHeldBack: boolean
}

export interface ConversationEvents {
  onState(state: ConversationState): void
  /** Fifty times a second, in dB of full scale. */
  onLevel?(dbfs: number): void
}

const START: ConversationState = {
  session: NOTHING, link: { state: 'idle' }, microphone: OFF, isMuted: false, isPressed: false, playback: null,
  quality: null, isHeldBack: false,
}
const LOOK_MS = 2_000 // between looks at the connection's quality
const FIRST_RETRY_MS = 500
const LONGEST_RETRY_MS = 8_000
const LOOK_PATIENCE_MS = 4_000
const MOST_FAILED_LOOKS = 2
const SILENT_MS = 100
const SILENCE_BYTES = 4_800 // of that much
const LEAST_SILENCES = 10 // a second: that somebody speaks may not be known here yet
const MOST_SILENCES = 100
const MOST_UNSENT = 100 // messages, while the connection is broken
const SOUND_PATIENCE_MS = 2_000 // for the browser to let us sound: some never say no
const LEAST_PRESS_MS = 200 // of push-to-talk: a shorter one is a slip
const TAIL_MS = 120 // after push-to-talk is let go: people let go a little before they are done

export class Conversation {
  readonly #events: ConversationEvents
  readonly #calls: ToolCalls
  readonly #output: HTMLAudioElement
  #address: Address
  #kind: TransportKind
  #wishes: Wishes = USUAL
  #state: ConversationState = START
  #context: AudioContext | null = null
  #hearing: Hearing | null = null
  #microphoneId: string | null = null
  #speaker: Speaker | null = null
  #transport: SocketTransport | CallTransport | null = null
  #attempt: AbortController | null = null
  #failures = 0
  #retry: ReturnType<typeof setTimeout> | undefined
  #pressedAtMs = 0
  #tail: ReturnType<typeof setTimeout> | undefined
  #looking: ReturnType<typeof setInterval> | undefined
  /** Null until one has succeeded: where none does, they say nothing. */
  #failedLooks: number | null = null
  #heardAtMs = 0
  #resumption = new Resumption()
  /** What was said to the server while the connection was broken. */
  #unsent: ClientMessage[] = []
  #counters: Counters = NO_COUNTERS
  /** Answers of which no more sound is wanted. */
  readonly #silenced = new Set<string>()

  constructor(address: Address, kind: TransportKind, tools: readonly PageTool[], events: ConversationEvents) {
    this.#address = address
    this.#kind = kind
    this.#events = events
    this.#output = new Audio()
    this.#calls = new ToolCalls(
      tools,
      (message) => this.#send(message),
      (callId, output, ok) => this.#happen({ kind: 'answered', callId, output, ok, atMs: performance.now() }),
    )
  }

  get state(): ConversationState {
    return this.#state
  }

  // --- the connection

  /** Connect, by a click: browsers let a page sound only then. What goes wrong is in the state. */
  async connect(address: Address = this.#address, kind: TransportKind = this.#kind): Promise<void> {
    this.#address = address
    this.#kind = kind
    this.#failures = 0
    clearTimeout(this.#retry)
    this.#change({ link: { state: 'connecting' } })
    await this.#prepareSound()
    await this.#open()
  }

  /** Hang up. What was said stays to be read, and the next connection goes on from it. */
  disconnect(): void {
    clearTimeout(this.#retry)
    clearTimeout(this.#tail)
    this.#leave()
    this.#hearing?.close()
    void this.#context?.suspend()
    this.#change({ link: { state: 'idle' }, isPressed: false, isHeldBack: false })
  }

  /** Let sound be heard again that the browser holds back, by a click. */
  async unhold(): Promise<void> {
    await this.#context?.resume()
  }

  /** Forget what was said. While connected, a new session begins. */
  async restart(): Promise<void> {
    const wasConnected = this.#state.link.state === 'connected'
    this.#leave()
    this.#happen({ kind: 'forgotten' })
    if (wasConnected) await this.connect()
  }

  async #open(): Promise<void> {
    this.#attempt?.abort()
    const attempt = new AbortController()
    this.#attempt = attempt
    const back = this.#resumption.wayBack(performance.now())
    if (back === null) this.#forsake()
    try {
      const transport = await this.#opened(back, attempt.signal)
      if (attempt.signal.aborted) return transport.close()
      this.#transport = transport
      this.#failures = 0
      this.#failedLooks = null
      this.#change({ link: { state: 'connected' } })
      if (back === null) this.#introduce()
      this.#looking = setInterval(() => void this.#look(), LOOK_MS)
      void this.#look()
    } catch (error) {
      if (!attempt.signal.aborted) this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    const known = error instanceof ConnectionError ? error : new ConnectionError('unable', String(error))
    if (known.code === 'gone') {
      this.#forsake()
      void this.#open()
    } else if (known.code === 'warming' || (known.mayReturn && this.#hasTalked)) this.#wait(known.message)
    else this.#change({ link: { state: 'failed', message: known.message, code: known.code } })
  }

  async #opened(back: Return | null, signal: AbortSignal): Promise<SocketTransport | CallTransport> {
    const events = {
      onMessage: (message: ServerMessage) => this.#hear(message),
      onClosed: (closed: Closed) => this.#lose(closed),
    }
    if (this.#kind === 'websocket') return await SocketTransport.open(this.#address, events, back, signal)
    const track = this.#hearing?.track ?? null
    return await CallTransport.open(this.#address, track, this.#output, events, back, signal)
  }

  /** Tell a new session what is wanted of it, and what was said before. */
  #introduce(): void {
    this.#send({ type: 'session.update', session: patchFrom(this.#wishes) })
    for (const item of itemsOf(this.#state.session.entries)) this.#send({ type: 'conversation.item.create', item })
  }

  get #hasTalked(): boolean {
    return this.#state.session.session !== null
  }

  #lose(closed: Closed): void {
    const nowMs = performance.now()
    this.#resumption.broke(nowMs)
    if (closed.mayReturn && this.#resumption.wayBack(nowMs) !== null) {
      this.#drop()
      if (!this.#isBroken) this.#happen({ kind: 'broken', atMs: nowMs })
    } else this.#leave()
    if (closed.mayReturn) this.#wait(closed.message)
    else this.#change({ link: { state: 'failed', message: closed.message, code: 'ended' } })
  }

  #wait(message: string): void {
    const pause = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures) * (0.75 + Math.random() / 2)
    this.#failures += 1
    this.#change({ link: { state: 'waiting', message, retryAtMs: performance.now() + pause } })
    this.#retry = setTimeout(() => void this.#open(), pause)
  }

  /** The server holds a session for us, and we are on our way back to it. */
  get #isBroken(): boolean {
    return this.#state.session.brokenAtMs !== null
  }

  /** We are back: what was said meanwhile goes out now. `heardMs` is how much of our sound the server has. */
  #catchUp(heardMs: number): void {
    for (const message of this.#unsent.splice(0)) this.#send(message)
    if (this.#transport instanceof SocketTransport) this.#transport.sendLate(this.#resumption.sent.since(heardMs))
  }

  /** Let go of the connection and of the session. */
  #leave(): void {
    this.#attempt?.abort()
    this.#drop()
    this.#forsake()
  }

  /** Let go of the connection. */
  #drop(): void {
    clearInterval(this.#looking)
    this.#transport?.close()
    this.#transport = null
    this.#counters = NO_COUNTERS
    this.#change({ quality: null })
  }

  /** Let go of the session. */
  #forsake(): void {
    this.#resumption = new Resumption()
    this.#unsent = []
    this.#calls.forget()
    void this.#speaker?.flush()
    this.#happen({ kind: 'disconnected' })
  }

  // --- what a person does

  /** Take these from now on; at once if there is a session. */
  want(wishes: Wishes): void {
    this.#wishes = wishes
    this.#send({ type: 'session.update', session: patchFrom(wishes, this.#state.session) })
  }

  /** The functions that this page runs; `Wishes.tools` says which are offered. */
  offer(tools: readonly PageTool[]): void {
    this.#calls.tools = tools
  }

  /** Write instead of speaking. */
  write(text: string): void {
    this.interrupt()
    this.#send({
      type: 'conversation.item.create', item: { type: 'message', role: 'user', content: [{ type: 'input_text', text }] },
    })
    this.#send({ type: 'response.create' })
  }

  /** Stop the answer that is being made or played. */
  interrupt(): void {
    const responding = this.#state.session.responding
    if (responding !== null) this.#send({ type: 'response.cancel' })
    if (this.#kind === 'webrtc') this.#send({ type: 'output_audio_buffer.clear' })
    void this.#hush()
  }

  /** The person has read of the problem. */
  dismiss(): void {
    this.#happen({ kind: 'dismissed' })
  }

  mute(isMuted: boolean): void {
    this.#change({ isMuted })
    this.#applyMute()
  }

  /** Push-to-talk: from here on the microphone is heard. */
  press(): void {
    clearTimeout(this.#tail)
    if (this.#state.isPressed) return
    this.#pressedAtMs = performance.now()
    this.interrupt()
    this.#change({ isPressed: true })
    this.#applyMute()
    this.#send({ type: 'input_audio_buffer.clear' })
  }

  /** Push-to-talk: that was it, and an answer is wanted; unless it was so short that nobody can have said anything. */
  release(): void {
    if (!this.#state.isPressed) return
    clearTimeout(this.#tail)
    if (performance.now() - this.#pressedAtMs < LEAST_PRESS_MS) return this.#endPress({ type: 'input_audio_buffer.clear' })
    this.#tail = setTimeout(
      () => this.#endPress({ type: 'input_audio_buffer.commit' }, { type: 'response.create' }), TAIL_MS,
    )
  }

  #endPress(...messages: ClientMessage[]): void {
    this.#change({ isPressed: false })
    this.#applyMute()
    for (const message of messages) this.#send(message)
  }

  /** Speak through this microphone; null is the browser's usual. */
  async choose(deviceId: string | null): Promise<void> {
    this.#microphoneId = deviceId
    if (this.#state.link.state !== 'idle') await this.#hearing?.open(deviceId)
  }

  /** Say whether a call may run that waits for it. What waits for nothing is ignored. */
  allow(callId: string, isAllowed: boolean): void {
    const call = this.#state.session.entries.find((entry) => entry.kind === 'tool' && entry.id === callId)
    if (call?.kind !== 'tool' || call.permission?.state !== 'asked') return
    const { requestId } = call.permission
    if (requestId === null) this.#send({ type: 'antiphon.approval.answer', call_id: callId, approve: isAllowed })
    else {
      const item = { type: 'mcp_approval_response' as const, approval_request_id: requestId, approve: isAllowed }
      this.#send({ type: 'conversation.item.create', item })
    }
  }

  /** End a call of one of the server's own tools. */
  stopTool(callId: string): void {
    this.#send({ type: 'antiphon.tool.cancel', call_id: callId })
  }

  /** Give the result of a call that no function of this page answers. */
  answer(callId: string, output: string): void {
    this.#calls.answer(callId, output)
  }

  // --- what the server says

  #hear(message: ServerMessage): void {
    const before = this.#state.session
    this.#heardAtMs = performance.now()
    this.#resumption.take(message)
    this.#happen({ kind: 'message', message, atMs: performance.now() })
    this.#calls.take(message)
    switch (message.type) {
      case 'response.output_audio.delta':
        if (!this.#silenced.has(message.response_id)) this.#speaker?.play(message.item_id, message.delta, message.sent_ms ?? null)
        return
      case 'output_audio_buffer.started':
        void this.#listen(message.response_id)
        return
      case 'response.output_audio.done':
        this.#speaker?.complete(message.item_id)
        return
      case 'input_audio_buffer.speech_started':
        if (this.#interrupts) void this.#hush(before.responding)
        return
      case 'antiphon.session.resumed':
        this.#catchUp(message.heard_ms)
        return
      case 'response.done':
        this.#silenced.delete(message.response.id)
        return
      case 'conversation.item.truncated':
        // The server plays a call itself, and knows what was heard of an answer; over a socket we do.
        if (this.#kind === 'webrtc') this.#send({ type: 'conversation.item.retrieve', item_id: message.item_id })
        return
      default:
        return
    }
  }

  /** In a call the browser plays by itself: watch for the answer to be heard. */
  async #listen(responseId: string): Promise<void> {
    if (!(this.#transport instanceof CallTransport)) return
    this.#transport.unhush()
    const atMs = await this.#transport.audible()
    const entry = this.#state.session.entries.find((one) => one.kind === 'assistant' && one.responseId === responseId)
    if (atMs !== null && entry) this.#happen({ kind: 'audible', itemId: entry.id, atMs })
  }

  /** Whether a voice stops the answer: the server has cancelled it then. */
  get #interrupts(): boolean {
    const session = this.#state.session.session
    if (session?.type !== 'realtime') return false
    return session.audio.input.turn_detection?.interrupt_response !== false
  }

  /** Fall silent, and tell the server how far each answer was heard. */
  async #hush(responding: string | null = this.#state.session.responding): Promise<void> {
    if (responding !== null) this.#silenced.add(responding)
    if (this.#transport instanceof CallTransport) this.#transport.hush()
    for (const { track, playedMs } of (await this.#speaker?.flush()) ?? []) {
      const played = Math.floor(playedMs)
      this.#happen({ kind: 'cut', itemId: track, playedMs })
      this.#send({ type: 'antiphon.playout', item_id: track, played_ms: played })
      this.#send({ type: 'conversation.item.truncate', item_id: track, content_index: 0, audio_end_ms: played })
    }
  }

  // --- sound

  async #prepareSound(): Promise<void> {
    const context = this.#context ?? new AudioContext({ latencyHint: 'interactive' })
    this.#context = context
    context.onstatechange = () => this.#noteSound(context)
    await Promise.race([context.resume(), new Promise((resolve) => setTimeout(resolve, SOUND_PATIENCE_MS))])
    this.#noteSound(context)
    this.#speaker ??= await Speaker.open(context, {
      onAudible: (itemId) => this.#happen({ kind: 'audible', itemId, atMs: performance.now() }),
      onPlayed: (itemId, playedMs) => this.#tellPlayed(itemId, playedMs),
      onEnded: (itemId) => {
        this.#happen({ kind: 'ended', itemId })
        const entry = this.#state.session.entries.find((one) => one.kind === 'assistant' && one.id === itemId)
        if (entry?.kind === 'assistant') this.#tellPlayed(itemId, entry.receivedMs)
      },
      onState: (playback) => {
        if (playback.track !== null || this.#state.playback?.track !== null) this.#change({ playback })
      },
    })
    this.#hearing ??= new Hearing(context, {
      onState: (microphone) => this.#change({ microphone }),
      onFrame: (frame) => this.#take(frame),
      onTrack: (track) => void (this.#transport instanceof CallTransport && this.#transport.use(track)),
      onLost: () => this.#endTurn(context),
    })
    if (this.#hearing.track === null) await this.#hearing.open(this.#microphoneId)
  }

  #noteSound(context: AudioContext): void {
    const isHeldBack = context.state !== 'running' && this.#state.link.state !== 'idle'
    if (isHeldBack !== this.#state.isHeldBack) this.#change({ isHeldBack })
  }

  /** The microphone is gone, and whoever was speaking has stopped. */
  #endTurn(context: AudioContext): void {
    this.release()
    // The server would wait for a track that is none: this is one on which there is silence.
    const silence = () => context.createMediaStreamDestination().stream.getAudioTracks()[0] ?? null
    if (this.#transport instanceof CallTransport) void this.#transport.use(silence())
    else if (this.#isHandsFree) void this.#trailOff()
  }

  /** Silence in place of a microphone, until the turn that was spoken through it is over. */
  async #trailOff(): Promise<void> {
    for (let n = 0; n < MOST_SILENCES && this.#hearing?.track == null; n++) {
      if (n >= LEAST_SILENCES && !this.#state.session.isPersonSpeaking) return
      this.#carry(new ArrayBuffer(SILENCE_BYTES))
      await new Promise((resolve) => setTimeout(resolve, SILENT_MS))
    }
  }

  #take(frame: Frame): void {
    this.#events.onLevel?.(frame.dbfs)
    if (this.#isHandsFree || this.#state.isPressed) this.#carry(frame.pcm)
  }

  /** To the server, if it is not a call, which carries the microphone's sound by itself. */
  #carry(pcm: ArrayBuffer): void {
    if (this.#kind !== 'websocket') return
    const isSent = this.#transport instanceof SocketTransport && !this.#isBroken && this.#transport.sendSound(pcm)
    if (isSent || this.#isBroken) this.#resumption.sent.keep(pcm)
  }

  get #isHandsFree(): boolean {
    return this.#wishes.detection.kind !== 'none'
  }

  #applyMute(): void {
    this.#hearing?.hear(this.#isHandsFree ? !this.#state.isMuted : this.#state.isPressed)
  }

  #tellPlayed(itemId: string, playedMs: number): void {
    this.#happen({ kind: 'played', itemId, playedMs })
    this.#send({ type: 'antiphon.playout', item_id: itemId, played_ms: Math.floor(playedMs) })
  }

  // --- quality

  async #look(): Promise<void> {
    const transport = this.#transport
    if (transport instanceof CallTransport) {
      const now = counters(await transport.peer.getStats())
      this.#change({ quality: between(this.#counters, now) })
      this.#counters = now
    } else if (transport !== null) {
      const began = performance.now()
      try {
        await asked(`${this.#address.origin}/health`, { cache: 'no-store', signal: AbortSignal.timeout(LOOK_PATIENCE_MS) })
        this.#failedLooks = 0
      } catch {
        this.#missLook(transport)
        return
      }
      if (transport !== this.#transport) return
      const { jitterMs = null, targetMs = null } = this.#state.playback ?? {}
      this.#change({
        quality: {
          roundTripMs: performance.now() - began, jitterMs, lost: null, concealed: null, bufferMs: targetMs,
          path: 'WebSocket (TCP)',
        },
      })
    }
  }

  /** A network that has gone tells nobody, and a browser may believe in its socket for minutes. */
  #missLook(transport: SocketTransport): void {
    if (transport !== this.#transport || this.#failedLooks === null) return
    this.#failedLooks += 1
    const isSilent = performance.now() - this.#heardAtMs > LOOK_PATIENCE_MS
    if (this.#failedLooks < MOST_FAILED_LOOKS || !isSilent) return
    transport.abandon()
    this.#lose({ message: 'The server does not answer.', mayReturn: true })
  }

  // --- the one place where the state changes

  #happen(happening: Happening): void {
    this.#change({ session: reduce(this.#state.session, happening) })
  }

  #change(changes: Partial<ConversationState>): void {
    this.#state = { ...this.#state, ...changes }
    this.#events.onState(this.#state)
  }

  #send(message: ClientMessage): void {
    if (!this.#isBroken) this.#transport?.send(message)
    // How far an answer was heard is of now only.
    else if (message.type !== 'antiphon.playout' && this.#unsent.length < MOST_UNSENT) this.#unsent.push(message)
  }
}
