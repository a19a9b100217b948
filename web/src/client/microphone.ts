/** A person's microphone: asked for, chosen, and turned into 20 ms frames. It does not know where the sound goes. */

import captureUrl from './audio/capture.worklet.ts?worker&url'

export interface Frame {
  /** 16-bit mono at 24 kHz, 20 ms. */
  readonly pcm: ArrayBuffer
  /** How loud it is, in dB of full scale. */
  readonly dbfs: number
}

export type MicrophoneFault = 'refused' | 'missing' | 'busy' | 'insecure' | 'lost'

export interface Device {
  readonly id: string
  readonly name: string
}

const WORDS: Record<MicrophoneFault, string> = {
  refused:
    'The browser does not let this page hear you. Allow the microphone next to the address, then try again. You can type meanwhile.',
  missing: 'No microphone was found. Plug one in and try again. You can type meanwhile.',
  busy: 'Another program holds the microphone. Close it there and try again. You can type meanwhile.',
  insecure:
    'Browsers give a microphone only to pages on https or on this same machine. Start the server with --tls-self-signed, and open its https address.',
  lost: 'The microphone is gone. Plug it in again, or go on with another one. You can type meanwhile.',
}

const STAND_INS = new Set(['default', 'communications'])

export class MicrophoneError extends Error {
  readonly fault: MicrophoneFault

  constructor(fault: MicrophoneFault) {
    super(WORDS[fault])
    this.fault = fault
  }
}

export class Microphone {
  readonly stream: MediaStream
  readonly #node: AudioWorkletNode
  readonly #source: MediaStreamAudioSourceNode

  private constructor(stream: MediaStream, source: MediaStreamAudioSourceNode, node: AudioWorkletNode) {
    this.stream = stream
    this.#source = source
    this.#node = node
  }

  /**
   * Ask for a microphone, this one or the browser's usual. `onLost` is called when it is unplugged or taken back.
   * Throws `MicrophoneError`.
   */
  static async open(
    context: AudioContext, deviceId: string | null, onFrame: (frame: Frame) => void, onLost: () => void,
  ): Promise<Microphone> {
    const stream = await askedFor(deviceId)
    stream.getAudioTracks()[0]!.onended = onLost
    await context.audioWorklet.addModule(captureUrl)
    const source = context.createMediaStreamSource(stream)
    const node = new AudioWorkletNode(context, 'antiphon-capture', { numberOfInputs: 1, numberOfOutputs: 0 })
    node.port.onmessage = (event: MessageEvent<Frame>) => onFrame(event.data)
    source.connect(node)
    return new Microphone(stream, source, node)
  }

  get deviceId(): string | null {
    return this.stream.getAudioTracks()[0]?.getSettings().deviceId ?? null
  }

  close(): void {
    for (const track of this.stream.getTracks()) {
      track.onended = null
      track.stop()
    }
    this.#node.port.onmessage = null
    this.#source.disconnect()
    this.#node.disconnect()
  }
}

/** Microphones that one can choose from; their names are only told once one was allowed. */
export async function microphones(): Promise<Device[]> {
  if (!navigator.mediaDevices) return []
  const devices = await navigator.mediaDevices.enumerateDevices()
  return devices
    .filter((device) => device.kind === 'audioinput' && device.deviceId !== '')
    .map((device, n) => ({ id: device.deviceId, name: device.label || `Microphone ${n + 1}` }))
}

/** Those of them that stand for no other: browsers have names such as "default" beside the devices' own. */
export function devicesOf(found: readonly Device[]): readonly Device[] {
  const real = found.filter((device) => !STAND_INS.has(device.id))
  return real.length > 0 ? real : found
}

/** Be told when a microphone is plugged in or out. Returns what ends it. */
export function watchMicrophones(onChange: () => void): () => void {
  const devices = navigator.mediaDevices as MediaDevices | undefined
  devices?.addEventListener('devicechange', onChange)
  return () => devices?.removeEventListener('devicechange', onChange)
}

/** The stream of this microphone, or of the browser's usual. Throws `MicrophoneError`. */
export async function askedFor(deviceId: string | null): Promise<MediaStream> {
  if (!navigator.mediaDevices) throw new MicrophoneError('insecure')
  const wish: MediaTrackConstraints = {
    echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1,
  }
  if (deviceId) wish.deviceId = { exact: deviceId }
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: wish })
  } catch (error) {
    const name = error instanceof DOMException ? error.name : ''
    if (name === 'OverconstrainedError' && deviceId) return await askedFor(null) // unplugged since it was chosen
    throw new MicrophoneError(faultOf(name))
  }
}

function faultOf(name: string): MicrophoneFault {
  if (name === 'NotFoundError' || name === 'OverconstrainedError') return 'missing'
  if (name === 'NotReadableError' || name === 'AbortError') return 'busy'
  return 'refused'
}
