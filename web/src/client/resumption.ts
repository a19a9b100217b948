/** What it takes to go on with a session whose connection broke: who we are to it, and what it has not heard. Pure. */

import type { ServerMessage } from './messages'

/** How to be let in again. */
export interface Return {
  readonly token: string
  /** Id of the last message that came. */
  readonly after: string
}

const KEPT_MS = 5_000 // of the microphone's sound: what was said before that is no longer an answer to anything
const BYTES_PER_MS = 48 // 24 kHz, 16 bits

export class Resumption {
  readonly sent = new SentSound()
  #token: string | null = null
  #withinMs = 0
  #after = ''
  #untilMs = Infinity

  take(message: ServerMessage): void {
    if (message.type === 'antiphon.session.resumable') {
      this.#token = message.token
      this.#withinMs = 1000 * message.within_s
    }
    if (message.type === 'antiphon.session.resumed') this.#untilMs = Infinity
    if ('event_id' in message) this.#after = message.event_id
  }

  /** The connection broke. While it is not back, calling this again changes nothing. */
  broke(nowMs: number): void {
    if (this.#untilMs === Infinity) this.#untilMs = nowMs + this.#withinMs
  }

  /** Null: there is nothing to go on with, or not any more. */
  wayBack(nowMs: number): Return | null {
    return this.#token === null || nowMs >= this.#untilMs ? null : { token: this.#token, after: this.#after }
  }
}

/** The microphone's sound as the server counts it, so that one can say again what was lost on the way. */
export class SentSound {
  #frames: ArrayBuffer[] = []
  #keptBytes = 0
  #endBytes = 0

  /** 16-bit mono at 24 kHz. */
  keep(pcm: ArrayBuffer): void {
    this.#frames.push(pcm)
    this.#keptBytes += pcm.byteLength
    this.#endBytes += pcm.byteLength
    while (this.#keptBytes > KEPT_MS * BYTES_PER_MS) this.#keptBytes -= this.#frames.shift()!.byteLength
  }

  /**
   * What lies behind the first `heardMs` that were sent, as far as it is kept. The server goes on counting from there,
   * and so do we.
   */
  since(heardMs: number): readonly ArrayBuffer[] {
    let missing = Math.min(this.#keptBytes, this.#endBytes - heardMs * BYTES_PER_MS)
    let first = this.#frames.length
    while (first > 0 && missing >= this.#frames[first - 1]!.byteLength) missing -= this.#frames[--first]!.byteLength
    const again = this.#frames.slice(first)
    this.#endBytes = heardMs * BYTES_PER_MS + again.reduce((total, frame) => total + frame.byteLength, 0)
    return again
  }
}
