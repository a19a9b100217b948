/** The loudspeaker's side of the audio thread: 24 kHz sound in, when it comes; the device's rate out, steadily. */

import { type Cut, Playout, type PlayoutNews } from './playout'
import { WIRE_RATE } from './pcm'
import { Resampler } from './resample'

const REPORT_MS = 100

export type PlaybackOrder =
  | { readonly kind: 'sound'; readonly track: string; readonly samples: Float32Array; readonly sentMs: number | null }
  | { readonly kind: 'complete'; readonly track: string }
  | { readonly kind: 'flush' }

export interface PlaybackState {
  readonly track: string | null
  readonly playedMs: number
  readonly waitingMs: number
  readonly targetMs: number
  readonly jitterMs: number
  readonly underruns: number
  readonly profile: string
}

export type PlaybackNews =
  | PlayoutNews
  | { readonly kind: 'flushed'; readonly cuts: readonly Cut[] }
  | { readonly kind: 'state'; readonly state: PlaybackState }

class Playback extends AudioWorkletProcessor {
  readonly #playout = new Playout(sampleRate)
  #resampler = new Resampler(WIRE_RATE, sampleRate)
  #track = ''
  #reportedMs = 0

  constructor(options: AudioWorkletNodeOptions) {
    super(options)
    this.port.onmessage = (event: MessageEvent<PlaybackOrder>) => this.#obey(event.data)
  }

  process(_inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
    const channels = outputs[0]!
    const nowMs = currentTime * 1000
    for (const news of this.#playout.pull(channels[0]!, nowMs)) this.#tell(news)
    for (const channel of channels.slice(1)) channel.set(channels[0]!)
    if (nowMs - this.#reportedMs >= REPORT_MS) this.#report(nowMs)
    return true
  }

  #obey(order: PlaybackOrder): void {
    switch (order.kind) {
      case 'sound':
        if (order.track !== this.#track) {
          this.#resampler = new Resampler(WIRE_RATE, sampleRate)
          this.#track = order.track
        }
        this.#playout.push(
          order.track, this.#resampler.process(order.samples), (order.samples.length / WIRE_RATE) * 1000,
          currentTime * 1000, order.sentMs,
        )
        return
      case 'complete':
        this.#playout.complete(order.track)
        return
      case 'flush':
        this.#tell({ kind: 'flushed', cuts: this.#playout.flush() })
        return
    }
  }

  #report(nowMs: number): void {
    this.#reportedMs = nowMs
    const { jitter, position, waitingMs } = this.#playout
    this.#tell({
      kind: 'state',
      state: {
        track: position?.track ?? null,
        playedMs: position?.playedMs ?? 0,
        waitingMs,
        targetMs: jitter.targetMs,
        jitterMs: jitter.jitterMs,
        underruns: jitter.underruns,
        profile: jitter.profile.name,
      },
    })
  }

  #tell(news: PlaybackNews): void {
    this.port.postMessage(news)
  }
}

registerProcessor('antiphon-playback', Playback)
