/**
 * How long to gather sound before playing it, from how unevenly it has come.
 *
 * Grows at once when pieces come late or the player ran dry, and shrinks slowly while all goes well. A TCP connection
 * loses nothing, so lateness is all there is to measure; and where the server says when it sent each piece, a slow model
 * or voice is not taken for a slow network. It knows neither samples nor sockets; times are in milliseconds, ours on any
 * one clock and the server's on any other.
 */

/** Bounds and starting point of the gathering time, in ms. */
export interface Profile {
  readonly name: 'good' | 'fair' | 'poor'
  readonly leastMs: number
  readonly firstMs: number
  readonly mostMs: number
}

export const PROFILES: readonly Profile[] = [
  { name: 'good', leastMs: 40, firstMs: 80, mostMs: 150 },
  { name: 'fair', leastMs: 80, firstMs: 150, mostMs: 300 },
  { name: 'poor', leastMs: 150, firstMs: 250, mostMs: 500 },
]

const REMEMBERED = 50 // pieces: five seconds of speech
const SAFETY = 2 // times the lateness that 95 of 100 pieces keep
const GROWTH = 1.5 // when the player ran dry
const HOLD_MS = 10_000 // how long a growth is not taken back
const DECAY = 0.03 // of the distance to what is needed, for each piece that came in time
const TAKEN_FOR_EVEN = 25 // pieces before the first: one late piece is an accident, and running dry answers it

export class JitterEstimate {
  #profile: Profile
  #targetMs: number
  #lateness: number[] = Array<number>(TAKEN_FOR_EVEN).fill(0)
  #before: { arrivedMs: number; endsMs: number; sentMs: number | null } | null = null
  /** From the server's clock to ours, for each piece: how far they are apart, and how long it was on its way. */
  #transits: number[] = []
  #heldUntilMs = -Infinity
  #underruns = 0

  constructor(profile: Profile = PROFILES[0]!) {
    this.#profile = profile
    this.#targetMs = profile.firstMs
  }

  /** How much to gather before playing. */
  get targetMs(): number {
    return this.#targetMs
  }

  get profile(): Profile {
    return this.#profile
  }

  get underruns(): number {
    return this.#underruns
  }

  /** The lateness in ms that 95 of the last 100 pieces keep. */
  get jitterMs(): number {
    return percentile(this.#lateness, 0.95)
  }

  /**
   * A piece of sound came. `startMs` and `endMs` say where it lies in its utterance; `sentMs` is when the server sent it,
   * by its own clock, if it says so. A piece may come as late after the one before it as that one lasts, and as the
   * server itself waited; what is beyond is lateness.
   */
  arrive(nowMs: number, startMs: number, endMs: number, sentMs: number | null = null): void {
    const before = this.#before
    this.#before = { arrivedMs: nowMs, endsMs: endMs, sentMs }
    if (sentMs !== null) this.#transits = [...this.#transits.slice(1 - REMEMBERED), nowMs - sentMs]
    if (before === null || startMs !== before.endsMs) return // another utterance: the pause says nothing
    const pauseMs = sentMs === null || before.sentMs === null ? 0 : sentMs - before.sentMs
    const late = Math.max(0, nowMs - before.arrivedMs - Math.max(endMs - startMs, pauseMs))
    this.#lateness.push(late)
    if (this.#lateness.length > REMEMBERED) this.#lateness.shift()
    this.#adapt(nowMs)
  }

  /** Whether the next piece would have been here at this time, had it been no longer on its way than those before. */
  wasDue(sentMs: number | null, atMs: number): boolean {
    return sentMs === null || sentMs + Math.min(...this.#transits) < atMs
  }

  /** Another server may follow, with another clock. */
  forgetClock(): void {
    this.#transits = []
    this.rest()
  }

  /** The player had nothing to play in the middle of an utterance, for something came late. */
  ranDry(nowMs: number): void {
    this.#underruns += 1
    this.#heldUntilMs = nowMs + HOLD_MS
    this.#targetMs = this.#targetMs * GROWTH
    this.#choose()
    this.#targetMs = this.#clamped(this.#targetMs)
  }

  /** A pause between two utterances: how long it lasts says nothing about the network. */
  rest(): void {
    this.#before = null
  }

  #adapt(nowMs: number): void {
    const wanted = this.jitterMs * SAFETY
    if (wanted > this.#targetMs) {
      this.#targetMs = wanted
      this.#heldUntilMs = nowMs + HOLD_MS
    } else if (nowMs >= this.#heldUntilMs) {
      this.#targetMs += (wanted - this.#targetMs) * DECAY
    }
    this.#choose()
    this.#targetMs = this.#clamped(this.#targetMs)
  }

  /** The first profile that has room for what is needed. */
  #choose(): void {
    this.#profile = PROFILES.find((profile) => this.#targetMs <= profile.mostMs) ?? PROFILES.at(-1)!
  }

  #clamped(ms: number): number {
    return Math.min(this.#profile.mostMs, Math.max(this.#profile.leastMs, ms))
  }
}

/** The nearest rank; 0 of nothing. */
export function percentile(values: readonly number[], share: number): number {
  if (values.length === 0) return 0
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0
}
