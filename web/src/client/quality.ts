/** How good a connection is, from what a browser measures, and what one could do about it. Pure but for the asking. */

export interface Quality {
  readonly roundTripMs: number | null
  readonly jitterMs: number | null
  /** Of the packets that came or should have come since the last look, in [0, 1]; null where nothing is ever lost. */
  readonly lost: number | null
  /** Of the sound since the last look, how much the browser had to invent, in [0, 1]. */
  readonly concealed: number | null
  /** How long sound waits in the browser before it is played. */
  readonly bufferMs: number | null
  readonly path: string
}

export interface Verdict {
  readonly grade: 'good' | 'fair' | 'poor' | 'unknown'
  readonly advice: string
}

/** Above the first a connection is fair, above the second poor. */
const LIMITS = {
  roundTripMs: [150, 400],
  jitterMs: [30, 80],
  lost: [0.01, 0.05],
  concealed: [0.08, 0.2], // where an answer ends, browsers let it fade out for some 60 ms of their own making
} as const

export function judged(quality: Quality | null): Verdict {
  if (quality === null) return { grade: 'unknown', advice: 'Nothing has been measured yet.' }
  const known = (Object.keys(LIMITS) as (keyof typeof LIMITS)[]).filter((name) => quality[name] !== null)
  if (known.length === 0) return { grade: 'unknown', advice: 'Nothing has been measured yet.' }
  const worst = known
    .map((name) => ({ name, rank: rankOf(quality[name]!, LIMITS[name]) }))
    .reduce((a, b) => (b.rank > a.rank ? b : a))
  const grade = (['good', 'fair', 'poor'] as const)[worst.rank]!
  return { grade, advice: grade === 'good' ? 'The connection does not hold the conversation up.' : ADVICE[worst.name] }
}

const ADVICE: Record<keyof typeof LIMITS, string> = {
  roundTripMs: 'The way to the server is long: every answer comes later by this much. A server nearer to you would help.',
  jitterMs: 'Packets come unevenly, so sound has to be held back. A cable instead of Wi-Fi, or fewer downloads, would help.',
  lost: 'Packets are lost. A cable instead of Wi-Fi would help; over WebSocket nothing is lost, but it comes later.',
  concealed: 'Some sound came too late and had to be invented. A steadier network would help.',
}

function rankOf(value: number, [fair, poor]: readonly [number, number]): 0 | 1 | 2 {
  return value > poor ? 2 : value > fair ? 1 : 0
}

/** What a peer connection has counted since it began. */
export interface Counters {
  readonly received: number
  readonly lost: number
  readonly samples: number
  readonly concealed: number
  readonly bufferedS: number
  readonly emitted: number
  readonly jitterS: number | null
  readonly roundTripS: number | null
  readonly path: string
}

export const NO_COUNTERS: Counters = {
  received: 0, lost: 0, samples: 0, concealed: 0, bufferedS: 0, emitted: 0, jitterS: null, roundTripS: null, path: '',
}

/** What happened between two looks: counters only ever grow, so one look alone says nothing about now. */
export function between(before: Counters, after: Counters): Quality {
  const lost = Math.max(0, after.lost - before.lost)
  const received = after.received - before.received
  const emitted = after.emitted - before.emitted
  return {
    roundTripMs: after.roundTripS === null ? null : after.roundTripS * 1000,
    jitterMs: after.jitterS === null ? null : after.jitterS * 1000,
    lost: received + lost > 0 ? lost / (received + lost) : null,
    concealed: share(after.concealed - before.concealed, after.samples - before.samples),
    bufferMs: emitted > 0 ? ((after.bufferedS - before.bufferedS) / emitted) * 1000 : null,
    path: after.path,
  }
}

function share(part: number, whole: number): number | null {
  return whole > 0 ? Math.max(0, part) / whole : null
}

/** Read the counters of the audio that comes, and of the pair of addresses that is in use. */
export function counters(report: RTCStatsReport): Counters {
  const all = [...(report as unknown as Map<string, Record<string, unknown>>).values()]
  const audio = all.find((one) => one['type'] === 'inbound-rtp' && one['kind'] === 'audio') ?? {}
  const transport = all.find((one) => one['type'] === 'transport')
  const chosen = transport?.['selectedCandidatePairId']
  const pair =
    all.find((one) => one['type'] === 'candidate-pair' && one['id'] === chosen) ??
    all.find((one) => one['type'] === 'candidate-pair' && one['nominated'] === true && one['state'] === 'succeeded') ??
    {}
  const end = (name: string) => all.find((one) => one['id'] === pair[name])
  return {
    received: number(audio['packetsReceived']),
    lost: number(audio['packetsLost']),
    samples: number(audio['totalSamplesReceived']),
    concealed: number(audio['concealedSamples']) - number(audio['silentConcealedSamples']),
    bufferedS: number(audio['jitterBufferDelay']),
    emitted: number(audio['jitterBufferEmittedCount']),
    jitterS: typeof audio['jitter'] === 'number' ? audio['jitter'] : null,
    roundTripS: typeof pair['currentRoundTripTime'] === 'number' ? pair['currentRoundTripTime'] : null,
    path: [end('localCandidateId'), end('remoteCandidateId')].map(place).filter(Boolean).join(' → '),
  }
}

function place(candidate: Record<string, unknown> | undefined): string {
  if (!candidate) return ''
  return `${String(candidate['candidateType'])} ${String(candidate['protocol'])}`
}

function number(value: unknown): number {
  return typeof value === 'number' ? value : 0
}
