/**
 * A stream of sound from one sample rate to another, with less than a millisecond of delay.
 *
 * A windowed sinc, one set of weights for each of the positions that an output sample can have between two input
 * samples. It does not know where the sound comes from, and runs in a worklet as well as in a test.
 */

const ZERO_CROSSINGS = 16 // on each side: 0.67 ms at 24 kHz
const PASS_BAND = 0.92 // of the lower rate's half: the rest is the slope of the filter

export class Resampler {
  readonly #up: number
  readonly #down: number
  readonly #reach: number
  readonly #weights: Float32Array[]
  #held: Float32Array
  #next = 0 // position of the next output sample, in `up`-ths of an input sample, from the start of `held`

  /** Rates in Hz, whole numbers. */
  constructor(from: number, to: number) {
    const common = greatestCommonDivisor(from, to)
    this.#up = to / common
    this.#down = from / common
    const cutoff = Math.min(1, to / from) * PASS_BAND
    this.#reach = Math.ceil(ZERO_CROSSINGS / Math.min(1, to / from))
    this.#weights = from === to ? [] : Array.from({ length: this.#up }, (_, step) => this.#row(step, cutoff))
    // Silence before the first sample, so that the first output needs nothing that is not there.
    this.#held = new Float32Array(this.#reach)
    this.#next = this.#reach * this.#up
  }

  /** The samples that can be told from what has come so far. They are new: the caller may keep them. */
  process(input: Float32Array): Float32Array {
    if (this.#weights.length === 0) return input.slice()
    const samples = joined(this.#held, input)
    const usable = samples.length - this.#reach // an output needs `reach` samples after it
    const count = Math.max(0, Math.ceil((usable * this.#up - this.#next) / this.#down))
    const output = new Float32Array(count)
    for (let n = 0; n < count; n++) {
      output[n] = this.#at(samples, this.#next)
      this.#next += this.#down
    }
    const gone = Math.max(0, Math.floor(this.#next / this.#up) - this.#reach)
    this.#held = samples.slice(Math.min(gone, samples.length))
    this.#next -= Math.min(gone, samples.length) * this.#up
    return output
  }

  #at(samples: Float32Array, position: number): number {
    const whole = Math.floor(position / this.#up)
    const weights = this.#weights[position - whole * this.#up]!
    const first = whole - this.#reach + 1
    let sum = 0
    for (let k = 0; k < weights.length; k++) sum += weights[k]! * (samples[first + k] ?? 0)
    return sum
  }

  #row(step: number, cutoff: number): Float32Array {
    const fraction = step / this.#up
    const row = Float32Array.from({ length: 2 * this.#reach }, (_, k) => {
      const distance = k - this.#reach + 1 - fraction
      return cutoff * sinc(cutoff * distance) * blackman(distance / this.#reach)
    })
    const sum = row.reduce((total, weight) => total + weight, 0)
    return row.map((weight) => weight / sum)
  }
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x)
}

/** The window at `x` in [-1, 1]; nothing outside. */
function blackman(x: number): number {
  if (Math.abs(x) >= 1) return 0
  return 0.42 + 0.5 * Math.cos(Math.PI * x) + 0.08 * Math.cos(2 * Math.PI * x)
}

function joined(a: Float32Array, b: Float32Array): Float32Array {
  const both = new Float32Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}
