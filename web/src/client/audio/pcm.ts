/** Sound as numbers: 16-bit little-endian on the wire, floats in [-1, 1] in the browser. */

/** The rate of all sound on the wire, in Hz. */
export const WIRE_RATE = 24_000

export function floatsFromBytes(bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Float32Array.from({ length: bytes.byteLength >> 1 }, (_, n) => view.getInt16(2 * n, true) / 32_768)
}

/** Louder than full scale is clipped, not wrapped. */
export function bytesFromFloats(samples: Float32Array): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(2 * samples.length))
  samples.forEach((sample, n) => {
    const clipped = Math.max(-1, Math.min(1, sample))
    view.setInt16(2 * n, Math.round(clipped * (clipped < 0 ? 32_768 : 32_767)), true)
  })
  return view.buffer as ArrayBuffer
}

export function bytesFromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
}

/** How loud, in dB of full scale; -100 for silence. */
export function loudness(samples: Float32Array): number {
  let energy = 0
  for (const sample of samples) energy += sample * sample
  const mean = samples.length ? energy / samples.length : 0
  return mean > 1e-10 ? 10 * Math.log10(mean) : -100
}
