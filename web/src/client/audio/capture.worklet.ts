/** The microphone's side of the audio thread: any rate and any number of channels in, 20 ms of 24 kHz mono out. */

import { WIRE_RATE, bytesFromFloats, loudness } from './pcm'
import { Resampler } from './resample'

const FRAME = WIRE_RATE / 50

class Capture extends AudioWorkletProcessor {
  readonly #resampler = new Resampler(sampleRate, WIRE_RATE)
  readonly #frame = new Float32Array(FRAME)
  #filled = 0

  process(inputs: Float32Array[][]): boolean {
    const channels = inputs[0]
    if (channels === undefined || channels.length === 0) return true // nothing is connected, for the moment
    this.#collect(this.#resampler.process(mixed(channels)))
    return true
  }

  #collect(samples: Float32Array): void {
    let from = 0
    while (from < samples.length) {
      const count = Math.min(FRAME - this.#filled, samples.length - from)
      this.#frame.set(samples.subarray(from, from + count), this.#filled)
      this.#filled += count
      from += count
      if (this.#filled < FRAME) return
      const pcm = bytesFromFloats(this.#frame)
      this.port.postMessage({ pcm, dbfs: loudness(this.#frame) }, [pcm])
      this.#filled = 0
    }
  }
}

function mixed(channels: Float32Array[]): Float32Array {
  const first = channels[0]!
  if (channels.length === 1) return first
  return first.map((_, n) => channels.reduce((sum, channel) => sum + channel[n]!, 0) / channels.length)
}

registerProcessor('antiphon-capture', Capture)
