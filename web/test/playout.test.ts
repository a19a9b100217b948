import { describe, expect, test } from 'vitest'

import { JitterEstimate, PROFILES, percentile } from '../src/client/audio/jitter'
import { Playout, type PlayoutNews } from '../src/client/audio/playout'

const RATE = 24_000
const PIECE_MS = 100

function piece(value = 0.5): Float32Array {
  return new Float32Array((RATE * PIECE_MS) / 1000).fill(value)
}

/** Pull for so long; what was played and what was told. */
function play(playout: Playout, fromMs: number, lengthMs: number): { samples: Float32Array; news: PlayoutNews[] } {
  const samples: number[] = []
  const news: PlayoutNews[] = []
  for (let now = fromMs; now < fromMs + lengthMs; now += 5) {
    const block = new Float32Array((RATE * 5) / 1000)
    news.push(...playout.pull(block, now))
    samples.push(...block)
  }
  return { samples: Float32Array.from(samples), news }
}

describe('a playout', () => {
  test('gathers first, then plays all of it in order, and says so', () => {
    const playout = new Playout(RATE)
    playout.push('a', piece(0.1).subarray(0, 24 * 50), 50, 0)
    expect(play(playout, 0, 40).samples.every((sample) => sample === 0)).toBe(true)
    playout.push('a', piece(0.2), PIECE_MS, 40)
    playout.push('b', piece(0.3), PIECE_MS, 41)
    playout.complete('b')
    const { samples, news } = play(playout, 45, 400)
    expect(news.map((one) => `${one.kind} ${one.track}`)).toEqual(['began a', 'ended a', 'began b', 'ended b'])
    const heard = [...samples].filter((sample) => sample !== 0)
    expect(heard.length).toBe((RATE * 250) / 1000)
    expect(heard).toEqual([...heard].sort((a, b) => a - b))
    expect(playout.jitter.underruns).toBe(0)
  })

  test('does not wait for what will not come: a short answer begins at once', () => {
    const playout = new Playout(RATE)
    playout.push('a', piece().subarray(0, 240), 10, 0)
    playout.complete('a')
    expect(play(playout, 0, 5).news[0]).toEqual({ kind: 'began', track: 'a' })
  })

  test('begins when it has waited as long as it would gather, even if the server is slow', () => {
    const playout = new Playout(RATE)
    playout.push('a', piece().subarray(0, 240), 10, 0)
    expect(play(playout, 0, 75).news).toEqual([])
    expect(play(playout, 75, 20).news[0]).toEqual({ kind: 'began', track: 'a' })
  })

  test('counts that it ran dry, gathers more than before, and goes on', () => {
    const playout = new Playout(RATE)
    const before = playout.jitter.targetMs
    playout.push('a', piece(), PIECE_MS, 0)
    expect(play(playout, 0, 300).news.map((one) => one.kind)).toEqual(['began'])
    playout.push('a', piece(), PIECE_MS, 300)
    expect(playout.jitter.underruns).toBe(1)
    expect(playout.jitter.targetMs).toBeCloseTo(before * 1.5)
    playout.push('a', piece(), PIECE_MS, 301)
    expect(play(playout, 305, 100).samples.some((sample) => sample > 0.4)).toBe(true)
  })

  test('does not take a server that is slow for a network that is', () => {
    const ahead = 1e6 // of our clock is the server's
    const playout = new Playout(RATE)
    const before = playout.jitter.targetMs
    let now = 0
    for (let sentence = 0; sentence < 4; sentence++, now += 1800) {
      for (let n = 0; n < 3; n++) playout.push('a', piece(), PIECE_MS, now + n, ahead + now + n - 20)
      play(playout, now + 5, 1790)
    }
    expect(playout.jitter).toMatchObject({ underruns: 0, jitterMs: 0 })
    expect(playout.jitter.targetMs).toBeLessThanOrEqual(before)
    // The server goes on in time, and the network keeps it for a second.
    playout.push('a', piece(), PIECE_MS, now, ahead + now - 20)
    play(playout, now + 5, 1095)
    playout.push('a', piece(), PIECE_MS, now + 1100, ahead + now + 80)
    expect(playout.jitter.underruns).toBe(1)
    expect(playout.jitter.targetMs).toBeGreaterThan(before)
  })

  test('that has run dry when all has come did not stutter', () => {
    const playout = new Playout(RATE)
    playout.push('a', piece(), PIECE_MS, 0)
    play(playout, 0, 300)
    playout.complete('a')
    expect(play(playout, 300, 10).news.map((one) => one.kind)).toEqual(['ended'])
    expect(playout.jitter.underruns).toBe(0)
  })

  test('falls silent within 5 ms of a flush, without a click, and says how far each answer got', () => {
    const playout = new Playout(RATE)
    for (let n = 0; n < 5; n++) playout.push('a', piece(), PIECE_MS, n)
    playout.push('b', piece(), PIECE_MS, 6)
    play(playout, 10, 200)
    expect(playout.flush()).toEqual([{ track: 'a', playedMs: 200 }, { track: 'b', playedMs: 0 }])
    const { samples } = play(playout, 210, 50)
    expect(samples.subarray(120).every((sample) => sample === 0)).toBe(true)
    const steps = [...samples.subarray(0, 120)].map((sample, n, all) => Math.abs(sample - (all[n - 1] ?? 0.5)))
    expect(Math.max(...steps)).toBeLessThan(0.02)
    expect(playout.flush()).toEqual([])
  })

  test('plays what comes after a flush', () => {
    const playout = new Playout(RATE)
    playout.push('a', piece(), PIECE_MS, 0)
    playout.flush()
    playout.push('b', piece(), PIECE_MS, 10)
    expect(play(playout, 15, 50).news[0]).toEqual({ kind: 'began', track: 'b' })
  })
})

test('on an uneven line it stutters far less than a fixed short buffer, and waits far less than a fixed long one', () => {
  const fixed = (ms: number) => Object.defineProperty(new JitterEstimate(), 'targetMs', { value: ms })
  const [short, long, adaptive] = [fixed(40), fixed(500), new JitterEstimate()].map(talk)
  expect(short!.underruns).toBeGreaterThan(50)
  expect(adaptive!.underruns).toBeLessThan(short!.underruns / 10)
  expect(long!.waitMs).toBeGreaterThan(390)
  expect(adaptive!.waitMs).toBeLessThan(0.5 * long!.waitMs)
})

/** Sixty answers of 2 s each, whose pieces a line without any lead brings up to 120 ms late, by a fixed throw of dice. */
function talk(jitter: JitterEstimate): { underruns: number; waitMs: number } {
  const playout = new Playout(RATE, jitter)
  let seed = 1
  let waitMs = 0
  for (let answer = 0; answer < 60; answer++) {
    const began = answer * 10_000
    const arrivals = Array.from({ length: 20 }, (_, n) => {
      seed = (seed * 48_271) % 2_147_483_647
      return began + n * PIECE_MS + 120 * (seed / 2_147_483_647)
    })
    let next = 0
    for (let now = began; now < began + 4000; now += 5) {
      while (next < arrivals.length && arrivals[next]! <= now) playout.push(`a${answer}`, piece(), PIECE_MS, arrivals[next++]!)
      if (next === arrivals.length) playout.complete(`a${answer}`)
      const block = new Float32Array((RATE * 5) / 1000)
      if (playout.pull(block, now).some((news) => news.kind === 'began')) waitMs += (now - arrivals[0]!) / 60
    }
  }
  return { underruns: jitter.underruns, waitMs }
}

describe('the gathering time', () => {
  /** Pieces of 100 ms, each this much later than the one before it would have it. */
  function arrive(jitter: JitterEstimate, lateness: number[], startMs = 0): number {
    let now = startMs
    let position = 0
    for (const late of lateness) {
      now += PIECE_MS + late
      jitter.arrive(now, position, position + PIECE_MS)
      position += PIECE_MS
    }
    return now
  }

  test('shrinks slowly while all comes in time, down to the profile’s least', () => {
    const jitter = new JitterEstimate()
    arrive(jitter, Array<number>(12).fill(0))
    expect(jitter.targetMs).toBeGreaterThan(55)
    arrive(jitter, Array<number>(200).fill(0))
    expect(jitter.targetMs).toBe(40)
  })

  test('grows at once, and is not taken back by the next piece that comes in time', () => {
    const jitter = new JitterEstimate()
    const now = arrive(jitter, [0, 0, 60, 60, 60])
    expect(jitter.targetMs).toBe(120)
    arrive(jitter, Array<number>(20).fill(0), now)
    expect(jitter.targetMs).toBe(120)
  })

  test('takes the next profile when its own has no room, and changes none of them', () => {
    const before = structuredClone(PROFILES)
    const jitter = new JitterEstimate()
    arrive(jitter, Array<number>(20).fill(120))
    expect(jitter.profile.name).toBe('fair')
    expect(jitter.targetMs).toBe(240)
    arrive(jitter, Array<number>(20).fill(400))
    expect(jitter.profile.name).toBe('poor')
    expect(jitter.targetMs).toBe(500)
    expect(PROFILES).toEqual(before)
  })

  test('is given back slowly, once ten seconds have passed without need', () => {
    const jitter = new JitterEstimate()
    let now = arrive(jitter, [0, 0, 60, 60, 60])
    now = arrive(jitter, Array<number>(97).fill(0), now)
    expect(jitter.targetMs).toBe(120)
    arrive(jitter, Array<number>(10).fill(0), now)
    expect(jitter.targetMs).toBeLessThan(120)
    expect(jitter.targetMs).toBeGreaterThan(80)
  })

  test('grows by half each time that the player ran dry, from one profile into the next, to half a second', () => {
    const jitter = new JitterEstimate()
    const grown = Array.from({ length: 6 }, (_, n) => {
      jitter.ranDry(n)
      return [Math.round(jitter.targetMs), jitter.profile.name]
    })
    expect(grown).toEqual([[120, 'good'], [180, 'fair'], [270, 'fair'], [405, 'poor'], [500, 'poor'], [500, 'poor']])
  })

  test('a burst is not lateness, nor is the pause between two answers', () => {
    const jitter = new JitterEstimate()
    arrive(jitter, [-90, -90, -90, 0, 0])
    arrive(jitter, [0, 0], 60_000)
    expect(jitter.jitterMs).toBe(0)
  })

  test('percentiles are ranks, and of nothing 0', () => {
    expect(percentile([], 0.95)).toBe(0)
    expect(percentile([100, 1], 0.5)).toBe(1)
    expect(percentile([1, 2, 3, 4], 0.95)).toBe(4)
  })
})
