import { describe, expect, test } from 'vitest'

import { bytesFromFloats, floatsFromBytes, loudness } from '../src/client/audio/pcm'
import { Resampler } from '../src/client/audio/resample'

function tone(hz: number, rate: number, seconds: number): Float32Array {
  return Float32Array.from({ length: Math.round(rate * seconds) }, (_, n) => 0.5 * Math.sin((2 * Math.PI * hz * n) / rate))
}

function streamed(resampler: Resampler, input: Float32Array, chunk: number): Float32Array {
  const parts: number[] = []
  for (let n = 0; n < input.length; n += chunk) parts.push(...resampler.process(input.subarray(n, n + chunk)))
  return Float32Array.from(parts)
}

describe.each([
  [48_000, 24_000],
  [44_100, 24_000],
  [96_000, 24_000],
  [16_000, 24_000],
  [24_000, 48_000],
  [24_000, 44_100],
])('from %d to %d Hz', (from, to) => {
  test('a tone stays what it was, to 60 dB', () => {
    const output = streamed(new Resampler(from, to), tone(1000, from, 0.5), 128)
    const ideal = tone(1000, to, 0.5)
    const middle = output.subarray(500, output.length - 500)
    const error = middle.map((sample, n) => sample - ideal[n + 500]!)
    expect(loudness(error) - loudness(middle)).toBeLessThan(-60)
  })

  test('nothing is lost or added but the filter’s own reach', () => {
    const output = streamed(new Resampler(from, to), new Float32Array(from), 128)
    expect(to - output.length).toBeGreaterThanOrEqual(0)
    expect((to - output.length) / to).toBeLessThan(0.0012)
  })

  test('how the stream is cut makes no difference', () => {
    const input = tone(700, from, 0.1)
    const whole = new Resampler(from, to).process(input)
    const pieces = streamed(new Resampler(from, to), input, 37)
    expect(pieces.length).toBe(whole.length)
    whole.forEach((sample, n) => expect(pieces[n]).toBeCloseTo(sample, 5))
  })
})

test('what the lower rate cannot hold is gone, not folded back', () => {
  const output = streamed(new Resampler(48_000, 24_000), tone(15_000, 48_000, 0.5), 128)
  expect(loudness(output.subarray(500)) - loudness(tone(15_000, 48_000, 0.5))).toBeLessThan(-60)
})

test('the same rate passes through, and is the caller’s to keep', () => {
  const input = tone(300, 24_000, 0.01)
  const output = new Resampler(24_000, 24_000).process(input)
  expect([...output]).toEqual([...input])
  expect(output.buffer).not.toBe(input.buffer)
})

test('floats become 16 bits and back, and too loud is clipped', () => {
  const bytes = new Uint8Array(bytesFromFloats(Float32Array.from([0, 0.5, -0.5, 2, -2])))
  const back = floatsFromBytes(bytes)
  expect(back[1]).toBeCloseTo(0.5, 3)
  expect(back[3]).toBeCloseTo(1, 3)
  expect(back[4]).toBe(-1)
  // A view into a larger buffer, as a message's sound is.
  expect(floatsFromBytes(bytes.subarray(2, 4))[0]).toBeCloseTo(0.5, 3)
})
