/** The loudspeaker for sound that comes over a WebSocket. It does not know conversations: a track is a name. */

import playbackUrl from './audio/playback.worklet.ts?worker&url'
import type { PlaybackNews, PlaybackOrder, PlaybackState } from './audio/playback.worklet'
import type { Cut } from './audio/playout'
import { bytesFromBase64, floatsFromBytes } from './audio/pcm'

export type { PlaybackState } from './audio/playback.worklet'

export interface SpeakerEvents {
  /** The first sound of a track is heard now, or in a few milliseconds. */
  onAudible(track: string): void
  /** How far the current track has been heard: several times a second while one plays. */
  onPlayed(track: string, playedMs: number): void
  /** A track was heard to its end. */
  onEnded(track: string): void
  onState(state: PlaybackState): void
}

export class Speaker {
  readonly #context: AudioContext
  readonly #node: AudioWorkletNode
  readonly #events: SpeakerEvents
  #flushing: ((cuts: readonly Cut[]) => void)[] = []

  private constructor(context: AudioContext, node: AudioWorkletNode, events: SpeakerEvents) {
    this.#context = context
    this.#node = node
    this.#events = events
    node.port.onmessage = (event: MessageEvent<PlaybackNews>) => this.#hear(event.data)
  }

  static async open(context: AudioContext, events: SpeakerEvents): Promise<Speaker> {
    await context.audioWorklet.addModule(playbackUrl)
    const node = new AudioWorkletNode(context, 'antiphon-playback', { numberOfInputs: 0, outputChannelCount: [2] })
    node.connect(context.destination)
    return new Speaker(context, node, events)
  }

  /**
   * Play this after what was given before. 16-bit mono at 24 kHz, as base64; `sentMs` is when it was sent, in ms by the
   * server's clock, or null.
   */
  play(track: string, base64: string, sentMs: number | null): void {
    const samples = floatsFromBytes(bytesFromBase64(base64))
    this.#order({ kind: 'sound', track, samples, sentMs }, [samples.buffer])
  }

  /** No more of this track will come. */
  complete(track: string): void {
    this.#order({ kind: 'complete', track })
  }

  /** Fall silent now. Returns how far each track was heard that was not played to its end. */
  async flush(): Promise<readonly Cut[]> {
    return await new Promise((resolve) => {
      this.#flushing.push(resolve)
      this.#order({ kind: 'flush' })
    })
  }

  close(): void {
    this.#node.port.onmessage = null
    this.#node.disconnect()
    for (const resolve of this.#flushing.splice(0)) resolve([])
  }

  /** The device has not played yet what it was given in the last milliseconds. */
  get #latencyMs(): number {
    const latency = this.#context.outputLatency
    return 1000 * (Number.isFinite(latency) && latency > 0 ? latency : this.#context.baseLatency)
  }

  #order(order: PlaybackOrder, transfer: Transferable[] = []): void {
    this.#node.port.postMessage(order, transfer)
  }

  #hear(news: PlaybackNews): void {
    switch (news.kind) {
      case 'began':
        setTimeout(() => this.#events.onAudible(news.track), this.#latencyMs)
        return
      case 'ended':
        setTimeout(() => this.#events.onEnded(news.track), this.#latencyMs)
        return
      case 'flushed': {
        const heard = (cut: Cut) => ({ ...cut, playedMs: Math.max(0, cut.playedMs - this.#latencyMs) })
        this.#flushing.shift()?.(news.cuts.map(heard))
        return
      }
      case 'state':
        if (news.state.track !== null && news.state.playedMs > 0) {
          this.#events.onPlayed(news.state.track, Math.max(0, news.state.playedMs - this.#latencyMs))
        }
        this.#events.onState(news.state)
        return
    }
  }
}
