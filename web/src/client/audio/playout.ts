/**
 * What is to be played, in order, and how far it has got. The player's worklet pulls from it 375 times a second.
 *
 * Sound belongs to a *track*, one for each spoken item of the conversation. It does not know the conversation, nor the
 * device; times come with each call, in ms on any one clock.
 */

import { JitterEstimate } from './jitter'

const FADE = 96 // samples in which a cut sound falls silent: 2 ms at 48 kHz, too short to hear and too long to click

export type PlayoutNews =
  | { readonly kind: 'began'; readonly track: string }
  | { readonly kind: 'ended'; readonly track: string; readonly playedMs: number }

/** A track that was thrown away, and how much of it had been played. */
export interface Cut {
  readonly track: string
  readonly playedMs: number
}

interface Track {
  readonly name: string
  pieces: Float32Array[]
  offset: number // into the first piece
  waiting: number // samples that lie here
  played: number
  receivedMs: number
  isComplete: boolean
  hasBegun: boolean
  firstAtMs: number
  /** When there was nothing more to play, if more was to come. */
  dryAtMs: number | null
}

export class Playout {
  readonly jitter: JitterEstimate
  readonly #rate: number
  #tracks: Track[] = []
  #isGathering = true
  #fading = new Float32Array(0)

  /** `rate` is that of the samples, in Hz. */
  constructor(rate: number, jitter = new JitterEstimate()) {
    this.#rate = rate
    this.jitter = jitter
  }

  /**
   * More of a track's sound; `lengthMs` is its length on the wire, and `sentMs` when the server sent it, by its clock. A
   * player that ran dry before the server had sent anything has waited for the server, and not for the network.
   */
  push(track: string, samples: Float32Array, lengthMs: number, nowMs: number, sentMs: number | null = null): void {
    const found = this.#track(track, nowMs)
    if (found.dryAtMs !== null && this.jitter.wasDue(sentMs, found.dryAtMs)) this.jitter.ranDry(nowMs)
    found.dryAtMs = null
    this.jitter.arrive(nowMs, found.receivedMs, found.receivedMs + lengthMs, sentMs)
    found.receivedMs += lengthMs
    if (found.waiting === 0 && this.#isGathering) found.firstAtMs = nowMs
    found.pieces.push(samples)
    found.waiting += samples.length
  }

  /** No more of this track will come. */
  complete(track: string): void {
    const found = this.#tracks.find((one) => one.name === track)
    if (found) found.isComplete = true
    this.jitter.rest()
  }

  /** Fill `output` and tell what happened in it. */
  pull(output: Float32Array, nowMs: number): PlayoutNews[] {
    const news: PlayoutNews[] = []
    let filled = this.#fade(output)
    while (filled < output.length) {
      const track = this.#tracks[0]
      if (track === undefined) break
      if (track.waiting === 0) {
        if (!track.isComplete) {
          if (!this.#isGathering) track.dryAtMs = nowMs
          this.#isGathering = true
          break
        }
        this.#tracks.shift()
        this.#isGathering = true
        news.push({ kind: 'ended', track: track.name, playedMs: this.#ms(track.played) })
        continue
      }
      if (this.#isGathering && !this.#hasGathered(track, nowMs)) break
      this.#isGathering = false
      if (!track.hasBegun) {
        track.hasBegun = true
        news.push({ kind: 'began', track: track.name })
      }
      filled += this.#take(track, output, filled)
    }
    return news
  }

  /** Throw away all that waits. Returns how far each track got that was not played to its end. */
  flush(): Cut[] {
    const track = this.#tracks[0]
    if (track === undefined) return []
    const cuts = this.#tracks.map((one) => ({ track: one.name, playedMs: this.#ms(one.played) }))
    const tail = new Float32Array(Math.min(FADE, track.waiting))
    if (track.hasBegun && !this.#isGathering) this.#take({ ...track, pieces: [...track.pieces] }, tail, 0)
    this.#fading = tail.map((sample, n) => sample * (1 - (n + 1) / tail.length))
    this.#tracks = []
    this.#isGathering = true
    this.jitter.forgetClock()
    return cuts
  }

  /** The track that is being played, or waits to be. */
  get position(): Cut | null {
    const track = this.#tracks[0]
    return track ? { track: track.name, playedMs: this.#ms(track.played) } : null
  }

  get waitingMs(): number {
    return this.#ms(this.#tracks.reduce((total, track) => total + track.waiting, 0))
  }

  #track(name: string, nowMs: number): Track {
    const found = this.#tracks.find((one) => one.name === name)
    if (found) return found
    for (const one of this.#tracks) one.isComplete = true // what comes next is another's: nothing more of these will
    const made: Track = {
      name, pieces: [], offset: 0, waiting: 0, played: 0, receivedMs: 0, isComplete: false, hasBegun: false,
      firstAtMs: nowMs, dryAtMs: null,
    }
    this.#tracks.push(made)
    return made
  }

  /** Enough has come, or will not come any more, or one has waited for as long as the sound would have lasted. */
  #hasGathered(track: Track, nowMs: number): boolean {
    const target = this.jitter.targetMs
    return track.isComplete || this.#ms(track.waiting) >= target || nowMs - track.firstAtMs >= target
  }

  #take(track: Track, output: Float32Array, from: number): number {
    let filled = from
    while (filled < output.length && track.waiting > 0) {
      const piece = track.pieces[0]!
      const count = Math.min(piece.length - track.offset, output.length - filled)
      output.set(piece.subarray(track.offset, track.offset + count), filled)
      filled += count
      track.offset += count
      track.waiting -= count
      track.played += count
      if (track.offset === piece.length) {
        track.pieces.shift()
        track.offset = 0
      }
    }
    return filled - from
  }

  #fade(output: Float32Array): number {
    const count = Math.min(this.#fading.length, output.length)
    output.set(this.#fading.subarray(0, count))
    this.#fading = this.#fading.slice(count)
    return count
  }

  #ms(samples: number): number {
    return (samples / this.#rate) * 1000
  }
}
