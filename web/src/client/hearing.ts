/**
 * The microphone that a conversation hears by: asked for, lost, and found again.
 *
 * What it has to say about itself is one state. It does not know where the sound goes, nor what a turn is.
 */

import {
  type Device, type Frame, Microphone, MicrophoneError, type MicrophoneFault, devicesOf, microphones, watchMicrophones,
} from './microphone'

export interface MicrophoneState {
  readonly state: 'off' | 'asking' | 'on' | 'fault'
  readonly fault: MicrophoneFault | null
  readonly message: string
  readonly deviceId: string | null
  /** What could be spoken through in its place, if it is gone. */
  readonly others: readonly Device[]
}

export interface HearingEvents {
  onState(state: MicrophoneState): void
  onFrame(frame: Frame): void
  /** Another microphone is spoken through from now on, or none. */
  onTrack(track: MediaStreamTrack | null): void
  /** It was unplugged or taken back, perhaps in mid-sentence. */
  onLost(): void
}

export const OFF: MicrophoneState = { state: 'off', fault: null, message: '', deviceId: null, others: [] }

export class Hearing {
  readonly #context: AudioContext
  readonly #events: HearingEvents
  #state: MicrophoneState = OFF
  #microphone: Microphone | null = null
  #wantedId: string | null = null
  #isHeard = true
  /** Counts what was wished for: who asks a person may be overtaken. */
  #wishes = 0
  /** Ids of the microphones that there were when one last looked. */
  #known: readonly string[] = []
  #stopWatching: () => void = () => undefined

  constructor(context: AudioContext, events: HearingEvents) {
    this.#context = context
    this.#events = events
  }

  get track(): MediaStreamTrack | null {
    return this.#microphone?.stream.getAudioTracks()[0] ?? null
  }

  /** Hear by this microphone from now on; null is the browser's usual. What goes wrong is in the state. */
  async open(deviceId: string | null): Promise<void> {
    this.#wantedId = deviceId
    this.#stopWatching()
    this.#stopWatching = watchMicrophones(() => void this.#lookAround())
    await this.#use(deviceId)
  }

  close(): void {
    this.#stopWatching()
    this.#letGo()
    this.#tell(OFF)
  }

  /** Whether there is to be sound; else there is silence, for a turn that has begun would never end without any. */
  hear(isHeard: boolean): void {
    this.#isHeard = isHeard
    if (this.track) this.track.enabled = isHeard
  }

  async #use(deviceId: string | null): Promise<void> {
    this.#letGo()
    this.#tell({ ...OFF, state: 'asking' })
    const wish = this.#wishes
    try {
      const opened = await Microphone.open(this.#context, deviceId, this.#events.onFrame, () => void this.#lose())
      if (wish !== this.#wishes) return opened.close()
      this.#microphone = opened
      this.hear(this.#isHeard)
      this.#tell({ ...OFF, state: 'on', deviceId: this.#microphone.deviceId })
      this.#known = (await microphones()).map((device) => device.id)
    } catch (error) {
      if (wish !== this.#wishes) return
      this.#tellFault(error instanceof MicrophoneError ? error : new MicrophoneError('busy'))
    }
    this.#events.onTrack(this.track)
  }

  async #lose(): Promise<void> {
    this.#letGo()
    this.#tellFault(new MicrophoneError('lost'))
    this.#events.onLost()
    await this.#lookAround()
  }

  /** A microphone that was not there before is taken in place of one that is gone. */
  async #lookAround(): Promise<void> {
    const found = await microphones()
    const others = devicesOf(found)
    const added = others.filter((device) => !this.#known.includes(device.id))
    this.#known = found.map((device) => device.id)
    if (this.#state.fault !== 'lost' && this.#state.fault !== 'missing') return
    const wanted = added.find((device) => device.id === this.#wantedId) ?? added[0]
    if (wanted) await this.#use(wanted.id)
    else this.#tell({ ...this.#state, others })
  }

  #letGo(): void {
    this.#wishes += 1
    this.#microphone?.close()
    this.#microphone = null
  }

  #tellFault({ fault, message }: MicrophoneError): void {
    this.#tell({ ...OFF, state: 'fault', fault, message })
  }

  #tell(state: MicrophoneState): void {
    this.#state = state
    this.#events.onState(state)
  }
}
