/** As much of a browser as a conversation over a WebSocket needs, without sound: what the page does is written down. */

import { vi } from 'vitest'

import type { ServerMessage } from '../src/client/messages'

export class FakeSocket {
  static readonly OPEN = 1
  static readonly made: FakeSocket[] = []
  /** Whether the server lets in whoever comes. */
  static isOpen = true
  readyState = 0
  bufferedAmount = 0
  onopen: (() => void) | null = null
  onclose: ((event: { code: number; reason: string }) => void) | null = null
  onmessage: ((event: { data: string }) => void) | null = null
  readonly sent: (Record<string, unknown> & { type: string })[] = []
  soundBytes = 0
  readonly url: string

  constructor(url: string) {
    this.url = url
    FakeSocket.made.push(this)
    queueMicrotask(() => {
      this.readyState = FakeSocket.isOpen ? FakeSocket.OPEN : 3
      if (FakeSocket.isOpen) this.onopen?.()
      else this.onclose?.({ code: 1006, reason: '' })
    })
  }

  send(data: string | ArrayBuffer): void {
    if (typeof data === 'string') this.sent.push(JSON.parse(data))
    else this.soundBytes += data.byteLength
  }

  close(): void {
    this.readyState = 3
  }

  /** The server says something. */
  says(message: Partial<ServerMessage> & { type: string }): void {
    this.onmessage?.({ data: JSON.stringify(message) })
  }

  /** The network goes away. */
  breaks(): void {
    this.readyState = 3
    this.onclose?.({ code: 1006, reason: '' })
  }
}

export class FakeTrack {
  enabled = true
  onended: (() => void) | null = null
  readonly deviceId: string

  constructor(deviceId: string) {
    this.deviceId = deviceId
  }

  getSettings(): { deviceId: string } {
    return { deviceId: this.deviceId }
  }

  isStopped = false

  stop(): void {
    this.isStopped = true
  }
}

class FakeNode {
  readonly port = { onmessage: null as ((event: { data: unknown }) => void) | null, postMessage: (order: { kind: string }) => this.#obey(order) }
  connect(): void {}
  disconnect(): void {}

  #obey(order: { kind: string }): void {
    if (order.kind === 'flush') queueMicrotask(() => this.port.onmessage?.({ data: { kind: 'flushed', cuts: [] } }))
  }
}

/** The microphones of a machine, to be plugged in and out. */
export class FakeDevices extends EventTarget {
  readonly tracks: FakeTrack[] = []
  readonly nodes: FakeNode[] = []
  found: string[] = ['desk']
  /** The browser waits for a click before anything may sound. */
  isHeldBack = false

  async enumerateDevices() {
    return this.found.map((deviceId) => ({ kind: 'audioinput', deviceId, label: `The ${deviceId} microphone` }))
  }

  async getUserMedia({ audio }: { audio: { deviceId?: { exact: string } } }) {
    const wanted = audio.deviceId?.exact ?? this.found[0]
    if (wanted === undefined || !this.found.includes(wanted)) throw new DOMException('none', 'NotFoundError')
    const track = new FakeTrack(wanted)
    this.tracks.push(track)
    return { getAudioTracks: () => [track], getTracks: () => [track] }
  }

  plug(...ids: string[]): void {
    this.found = ids
    this.dispatchEvent(new Event('devicechange'))
  }

  /** So many pieces of 20 ms are spoken. */
  speak(count: number): void {
    for (let n = 0; n < count; n++) this.nodes.at(-1)!.port.onmessage?.({ data: { pcm: new ArrayBuffer(960), dbfs: -20 } })
  }
}

export function stage(): FakeDevices {
  const devices = new FakeDevices()
  FakeSocket.made.length = 0
  FakeSocket.isOpen = true
  vi.stubGlobal('navigator', { mediaDevices: devices })
  vi.stubGlobal('WebSocket', FakeSocket)
  vi.stubGlobal('Audio', class {})
  vi.stubGlobal('fetch', async () => new Response('{}'))
  vi.stubGlobal('AudioWorkletNode', class extends FakeNode {
    constructor(_: unknown, name: string) {
      super()
      if (name === 'antiphon-capture') devices.nodes.push(this)
    }
  })
  vi.stubGlobal('AudioContext', class {
    readonly audioWorklet = { addModule: async () => undefined }
    readonly destination = {}
    readonly baseLatency = 0
    state = 'suspended'
    onstatechange: (() => void) | null = null
    async resume() {
      if (devices.isHeldBack) await new Promise(() => undefined)
      this.state = 'running'
      this.onstatechange?.()
    }
    async suspend() {}
    createMediaStreamSource() {
      return new FakeNode()
    }
  })
  return devices
}
