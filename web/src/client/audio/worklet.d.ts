// What a worklet's global scope has: TypeScript's own libraries know only the page's.

declare const sampleRate: number
declare const currentTime: number

declare class AudioWorkletProcessor {
  readonly port: MessagePort
  constructor(options?: AudioWorkletNodeOptions)
}

declare function registerProcessor(name: string, kind: new (options: AudioWorkletNodeOptions) => AudioWorkletProcessor): void
