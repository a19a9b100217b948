/** Words on the screen while somebody speaks, by `/ws/transcribe`: the browser's own recorder in, lines of text out. */

import { MicrophoneError, askedFor } from './microphone'
import { opened } from './socket'
import { type Address, ConnectionError, knock } from './transport'

/** One utterance. */
export interface CaptionLine {
  readonly id: number
  /** Seconds from the beginning. */
  readonly start: number
  /** Never taken back while the utterance goes on. */
  readonly stable: string
  /** May change; empty once the utterance is over. */
  readonly tail: string
  readonly isOver: boolean
}

export interface CaptionState {
  readonly state: 'off' | 'starting' | 'listening' | 'ending'
  readonly lines: readonly CaptionLine[]
  readonly problem: string | null
}

export type CaptionMessage =
  | { type: 'transcription'; partial: boolean; id: number; text: string; start: number; stable?: string; tail?: string }
  | { type: 'error'; code: string; message: string; hint: string }
  | { type: 'ready' | 'final' | 'cleared' | 'pong' | 'language' }

export const NO_CAPTIONS: CaptionState = { state: 'off', lines: [], problem: null }

const PIECE_MS = 100
const FORMATS = ['audio/webm;codecs=opus', 'audio/ogg;codecs=opus', 'audio/mp4']

/** What a message changes. A line of which nothing was intelligible goes. */
export function captioned(state: CaptionState, message: CaptionMessage): CaptionState {
  switch (message.type) {
    case 'transcription': {
      const { id, start, text, partial, stable = '', tail = '' } = message
      const line = partial ? { id, start, stable, tail, isOver: false } : { id, start, stable: text, tail: '', isOver: true }
      const others = state.lines.filter((one) => one.id !== id)
      return { ...state, lines: line.stable || line.tail ? [...others, line] : others }
    }
    case 'error':
      return { ...state, problem: `${message.message}. ${message.hint}` }
    default:
      return state
  }
}

/** One person's captions, on and off. */
export class LiveCaptions {
  state: CaptionState = NO_CAPTIONS
  readonly #show: (state: CaptionState) => void
  #socket: WebSocket | null = null
  #recorder: MediaRecorder | null = null

  constructor(show: (state: CaptionState) => void) {
    this.#show = show
  }

  /** Ask for the microphone and listen until `stop`, for this language, or for any. What is wrong is told in the state. */
  async start(address: Address, deviceId: string | null, language: string | null = null): Promise<void> {
    if (this.state.state !== 'off') return
    this.#become({ ...NO_CAPTIONS, state: 'starting' })
    let stream: MediaStream | null = null
    try {
      stream = await askedFor(deviceId)
      await knock(address)
      const protocols = ['realtime', ...(address.key ? [`openai-insecure-api-key.${address.key}`] : [])]
      this.#socket = await opened(`${address.origin.replace(/^http/, 'ws')}/ws/transcribe`, protocols)
      if (language) this.expect(language)
      this.#record(stream, this.#socket)
    } catch (error) {
      for (const track of stream?.getTracks() ?? []) track.stop()
      const isOurs = error instanceof MicrophoneError || error instanceof ConnectionError
      this.#become({ ...this.state, state: 'off', problem: isOurs ? error.message : 'This browser cannot record.' })
    }
  }

  /** What will be said is in this language, by its code or English name; null lets the recogniser decide. */
  expect(language: string | null): void {
    this.#command({ action: 'language', language })
  }

  /** Say that this was all; the last words still come. */
  stop(): void {
    if (this.state.state !== 'listening') return
    this.#become({ ...this.state, state: 'ending' })
    this.#recorder?.stop()
  }

  /** Leave everything at once. */
  close(): void {
    this.#become = () => undefined
    this.#end(null)
  }

  #record(stream: MediaStream, socket: WebSocket): void {
    const mimeType = FORMATS.find((format) => MediaRecorder.isTypeSupported(format))
    const recorder = new MediaRecorder(stream, mimeType ? { mimeType } : {})
    recorder.ondataavailable = ({ data }) => {
      if (data.size && socket.readyState === WebSocket.OPEN) socket.send(data)
    }
    recorder.onstop = () => {
      for (const track of stream.getTracks()) track.stop()
      this.#command({ action: 'end' })
    }
    socket.onmessage = (event: MessageEvent<string>) => {
      const message = JSON.parse(event.data) as CaptionMessage
      this.#become(captioned(this.state, message))
      if (message.type === 'final') this.#end(this.state.problem)
    }
    socket.onclose = () => this.#end(this.state.problem ?? 'The connection was lost.')
    recorder.start(PIECE_MS)
    this.#recorder = recorder
    this.#become({ ...this.state, state: 'listening' })
  }

  #command(command: { action: string; language?: string | null }): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(command))
  }

  #end(problem: string | null): void {
    const [socket, recorder] = [this.#socket, this.#recorder]
    this.#socket = this.#recorder = null
    if (socket) {
      socket.onclose = socket.onmessage = null
      socket.close(1000)
    }
    if (recorder && recorder.state !== 'inactive') recorder.stop()
    this.#become({ ...this.state, state: 'off', problem })
  }

  #become = (state: CaptionState): void => {
    this.state = state
    this.#show(state)
  }
}
