import { afterEach, describe, expect, test, vi } from 'vitest'

import type { ClientMessage, ServerMessage } from '../src/client/messages'
import { NO_COUNTERS, between, counters, judged } from '../src/client/quality'
import { type PageTool, ToolCalls } from '../src/client/tools'
import type { RealtimeSession } from '../src/client/messages'
import { knock } from '../src/client/transport'
import { USUAL, patchFrom } from '../src/client/wishes'
import { toolFrom } from '../src/page/settings'

describe('a client secret', () => {
  const refusing = (status: number, code: string, message: string) =>
    vi.stubGlobal('fetch', async (url: string) =>
      url.endsWith('/v1/models') ? Response.json({ error: { code, message } }, { status }) : new Response('{}'),
    )
  const knocked = () => knock({ origin: 'http://server', key: 'ek_1' })

  afterEach(() => vi.unstubAllGlobals())

  test('that opens sessions and nothing else is good', async () => {
    refusing(403, 'insufficient_permissions', 'A client secret only opens sessions.')
    await expect(knocked()).resolves.toBeUndefined()
  })

  test('that has expired is refused in the words of the server', async () => {
    refusing(401, 'client_secret_expired', 'The client secret has expired.')
    await expect(knocked()).rejects.toMatchObject({ code: 'key', message: 'The client secret has expired.' })
  })

  test('is no way in for a page of which the server knows nothing', async () => {
    refusing(403, 'foreign_origin', 'Pages from here may not use this server.')
    await expect(knocked()).rejects.toMatchObject({ code: 'refused' })
  })
})

describe('functions of the page', () => {
  const call = (id: string, name: string, given = '{}') =>
    ({ type: 'response.output_item.done', response_id: 'r', item: { type: 'function_call', call_id: id, name, arguments: given, status: 'completed' } }) as ServerMessage
  const done = { type: 'response.done', response: { id: 'r' } } as ServerMessage

  function made(run?: PageTool['run']) {
    const sent: ClientMessage[] = []
    const answers: unknown[] = []
    const tool = { type: 'function' as const, name: 'look' }
    const calls = new ToolCalls([run ? { tool, run } : { tool }], (message) => sent.push(message), (...given) => answers.push(given))
    return { calls, sent, answers }
  }

  test('are run at once, and an answer is asked for when all have returned and the response is over', async () => {
    const { calls, sent } = made(async (given) => ({ seen: given['what'] }))
    calls.take(call('1', 'look', '{"what":"sea"}'))
    calls.take(call('2', 'by hand'))
    await vi.waitFor(() => expect(sent).toHaveLength(1))
    expect(sent[0]).toMatchObject({ item: { type: 'function_call_output', call_id: '1', output: '{"seen":"sea"}' } })
    calls.take(done)
    expect(sent).toHaveLength(1)
    calls.answer('2', 'fine')
    expect(sent.map((message) => message.type)).toEqual([
      'conversation.item.create', 'conversation.item.create', 'response.create',
    ])
    calls.answer('2', 'again')
    expect(sent).toHaveLength(3)
  })

  test('that fail tell the model so', async () => {
    const { calls, sent, answers } = made(async () => {
      throw new Error('too dark')
    })
    calls.take(call('1', 'look'))
    await vi.waitFor(() => expect(sent).toHaveLength(1))
    expect(answers).toEqual([['1', '{"error":"too dark"}', false]])
  })

  test('whose arguments are not JSON fail, and do not break the page', async () => {
    const { calls, answers } = made(async () => 1)
    calls.take(call('1', 'look', '{"what'))
    await vi.waitFor(() => expect(answers).toHaveLength(1))
  })

  test('a response without calls asks for nothing', () => {
    const { calls, sent } = made()
    calls.take(done)
    expect(sent).toEqual([])
  })
})

describe('the connection', () => {
  const report = (inbound: object, pairs: object[]) =>
    new Map(
      [{ id: 'A', type: 'inbound-rtp', kind: 'audio', ...inbound }, { id: 'T', type: 'transport', selectedCandidatePairId: 'P2' }, ...pairs].map(
        (one) => [(one as { id: string }).id, one],
      ),
    ) as unknown as RTCStatsReport

  test('is judged by what happened between two looks, not since it began', () => {
    const before = { ...NO_COUNTERS, received: 1000, lost: 500, samples: 48_000, concealed: 40_000 }
    const after = { ...before, received: 1099, lost: 501, samples: 96_000, concealed: 40_480, bufferedS: 960, emitted: 48_000 }
    expect(between(before, after)).toMatchObject({ lost: 0.01, concealed: 0.01, bufferMs: 20 })
  })

  test('nothing received is not a number, and says nothing', () => {
    expect(between(NO_COUNTERS, NO_COUNTERS)).toMatchObject({ lost: null, concealed: null, bufferMs: null })
    expect(judged(between(NO_COUNTERS, NO_COUNTERS)).grade).toBe('unknown')
  })

  test('the pair that is in use is the selected one, of several that succeeded', () => {
    const found = counters(
      report({ packetsReceived: 5, jitter: 0.004 }, [
        { id: 'P1', type: 'candidate-pair', state: 'succeeded', nominated: true, currentRoundTripTime: 9 },
        { id: 'P2', type: 'candidate-pair', state: 'succeeded', currentRoundTripTime: 0.02, localCandidateId: 'L', remoteCandidateId: 'R' },
        { id: 'L', type: 'local-candidate', candidateType: 'host', protocol: 'udp' },
        { id: 'R', type: 'remote-candidate', candidateType: 'relay', protocol: 'udp' },
      ]),
    )
    expect(found).toMatchObject({ roundTripS: 0.02, path: 'host udp → relay udp', received: 5, jitterS: 0.004 })
  })

  test('the worst of it decides what is advised', () => {
    const fine = { roundTripMs: 20, jitterMs: 5, lost: 0, concealed: 0, bufferMs: 40, path: '' }
    expect(judged(fine).grade).toBe('good')
    expect(judged({ ...fine, jitterMs: 50 }).grade).toBe('fair')
    const bad = judged({ ...fine, jitterMs: 50, lost: 0.2 })
    expect(bad.grade).toBe('poor')
    expect(bad.advice).toContain('lost')
    expect(judged(null).grade).toBe('unknown')
  })
})

test('push-to-talk turns detection off; what the server should choose is left out', () => {
  const patch = patchFrom({ ...USUAL, detection: { kind: 'none' } })
  expect(patch.audio?.input?.turn_detection).toBe(null)
  expect(patch).not.toHaveProperty('instructions')
  expect(patch.audio?.output).toEqual({ speed: 1 })
})

describe('a change of a session', () => {
  const session = (voice: string) => ({ type: 'realtime', instructions: 'Be kind.', audio: { input: {}, output: { voice } } }) as unknown as RealtimeSession
  const known = { session: session('onyx'), own: session('marin'), hasSpoken: false }

  test('goes back to what was the server’s own', () => {
    expect(patchFrom(USUAL, known)).toMatchObject({ instructions: 'Be kind.', audio: { output: { voice: 'marin' } } })
    expect(patchFrom({ ...USUAL, instructions: 'Be brief.' }, known).instructions).toBe('Be brief.')
  })

  test('names no voice that it has already, nor any once something was said', () => {
    expect(patchFrom({ ...USUAL, voice: 'onyx' }, known).audio?.output).toEqual({ speed: 1 })
    expect(patchFrom({ ...USUAL, voice: 'ash' }, known).audio?.output).toEqual({ speed: 1, voice: 'ash' })
    expect(patchFrom({ ...USUAL, voice: 'ash' }, { ...known, hasSpoken: true }).audio?.output).toEqual({ speed: 1 })
  })
})

test('a function that a person writes down is checked, in words', () => {
  expect(() => toolFrom('{', [])).toThrow('not JSON')
  expect(() => toolFrom('{"name": "no spaces"}', [])).toThrow('"name"')
  const tool = toolFrom('{"name": "fine"}', [])
  expect(tool).toMatchObject({ type: 'function', parameters: { type: 'object' } })
  expect(() => toolFrom('{"name": "fine"}', [tool])).toThrow('already')
})
