import { describe, expect, test } from 'vitest'

import type { ServerMessage } from '../src/client/messages'
import { itemsOf } from '../src/client/restore'
import { type AssistantEntry, type Happening, NOTHING, type SessionState, heardAndNot, lengthMs, reduce } from '../src/client/session'

const SECOND = 'A'.repeat(64_000) // base64 of 48,000 bytes: one second

function told(message: object, atMs = 0): Happening {
  return { kind: 'message', message: message as ServerMessage, atMs }
}

function after(...happenings: Happening[]): SessionState {
  return happenings.reduce(reduce, NOTHING)
}

const QUESTION = [
  told({ type: 'input_audio_buffer.speech_started', item_id: 'q' }),
  told({ type: 'input_audio_buffer.speech_stopped', item_id: 'q' }),
  told({ type: 'conversation.item.added', previous_item_id: null, item: { type: 'message', id: 'q', role: 'user', content: [{ type: 'input_audio', transcript: null }] } }),
  told({ type: 'conversation.item.input_audio_transcription.completed', item_id: 'q', transcript: 'tell me a story' }),
]
const ANSWER = [
  told({ type: 'response.created', response: { id: 'r' } }),
  told({ type: 'response.output_item.added', response_id: 'r', item: { type: 'message', id: 'a', role: 'assistant', content: [] } }),
  told({ type: 'response.output_audio_transcript.delta', item_id: 'a', delta: 'One two three four. ' }),
  told({ type: 'response.output_audio.delta', response_id: 'r', item_id: 'a', delta: SECOND }, 1000),
  told({ type: 'response.output_audio_transcript.delta', item_id: 'a', delta: 'Five six seven eight.' }),
  told({ type: 'response.output_audio.delta', response_id: 'r', item_id: 'a', delta: SECOND }, 1100),
]

function answerOf(state: SessionState): AssistantEntry {
  return state.entries.find((entry): entry is AssistantEntry => entry.kind === 'assistant')!
}

describe('captions', () => {
  test('a spoken question passes from listening to its words', () => {
    expect(after(...QUESTION.slice(0, 1)).isPersonSpeaking).toBe(true)
    expect(after(...QUESTION.slice(0, 1)).entries[0]).toMatchObject({ state: 'speaking' })
    expect(after(...QUESTION.slice(0, 3)).entries[0]).toMatchObject({ state: 'recognising' })
    expect(after(...QUESTION).entries).toMatchObject([{ kind: 'user', text: 'tell me a story', state: 'done' }])
  })

  describe('while it is spoken', () => {
    const delta = (text: string) => told({ type: 'conversation.item.input_audio_transcription.delta', item_id: 'q', delta: text })
    const tail = (text: string) => told({ type: 'antiphon.transcription.tail', item_id: 'q', tail: text })
    const early = [tail('tell'), tail('tell be'), delta('tell'), tail(' me as'), delta(' me'), tail(' a')]

    test('its words are sure or may change, and none is shown twice', () => {
      const shown = early.map((_, n) => after(QUESTION[0]!, ...early.slice(0, n + 1)).entries[0])
      expect(shown).toMatchObject([
        { text: '', tail: 'tell' }, { text: '', tail: 'tell be' }, { text: 'tell', tail: '' },
        { text: 'tell', tail: ' me as' }, { text: 'tell me', tail: '' }, { text: 'tell me', tail: ' a' },
      ])
    })

    test('its words stay as they were until those of the whole replace them', () => {
      const heard = after(QUESTION[0]!, ...early.slice(0, 4), ...QUESTION.slice(1, 3))
      expect(heard.entries).toMatchObject([{ text: 'tell', tail: ' me as', state: 'recognising' }])
      expect(reduce(heard, QUESTION[3]!).entries).toMatchObject([{ text: 'tell me a story', tail: '', state: 'done' }])
      const failed = told({ type: 'conversation.item.input_audio_transcription.failed', item_id: 'q' })
      expect(reduce(heard, failed).entries).toMatchObject([{ text: 'tell', tail: '', state: 'failed' }])
      expect(reduce(heard, { kind: 'disconnected' }).entries).toMatchObject([{ text: 'tell', tail: '', state: 'failed' }])
    })

    test('its words are there too where only the client says what a turn is', () => {
      const pressed = after(tail('tell'), delta('tell'))
      expect(pressed.entries).toMatchObject([{ kind: 'user', text: 'tell', tail: '', state: 'speaking' }])
      expect(reduce(pressed, told({ type: 'input_audio_buffer.cleared' })).entries).toEqual([])
      const answered = [...ANSWER.slice(0, 2), ...QUESTION.slice(2)].reduce(reduce, pressed)
      expect(answered.entries).toMatchObject([{ id: 'q', text: 'tell me a story', tail: '' }, { id: 'a' }])
    })
  })

  test('an answer is set apart by how far it was heard, clause by clause and in whole words', () => {
    const state = after(...QUESTION, ...ANSWER, { kind: 'played', itemId: 'a', playedMs: 1500 })
    expect(heardAndNot(answerOf(state))).toEqual({ heard: 'One two three four. Five', rest: ' six seven eight.' })
    const cut = reduce(state, { kind: 'cut', itemId: 'a', playedMs: 1000 })
    expect(answerOf(cut).state).toBe('cut')
    expect(heardAndNot(answerOf(cut))).toEqual({ heard: 'One two three four. ', rest: 'Five six seven eight.' })
  })

  test('what is shown as heard stays so while its clause grows', () => {
    const words = told({ type: 'response.output_audio_transcript.delta', item_id: 'a', delta: 'One two three four five six seven eight nine ten.' })
    const piece = told({ type: 'response.output_audio.delta', response_id: 'r', item_id: 'a', delta: SECOND })
    let state = after(...ANSWER.slice(0, 2), words)
    const lengths = Array.from({ length: 30 }, (_, n) => {
      if (n % 6 === 0) state = reduce(state, piece)
      state = reduce(state, { kind: 'played', itemId: 'a', playedMs: 150 * n })
      return heardAndNot(answerOf(state)).heard.length
    })
    expect(lengths).toEqual([...lengths].sort((a, b) => a - b))
    expect(lengths[6]).toBeLessThan(20) // after 0.9 s of two that have come
  })

  test('an answer that was heard to its end is all heard', () => {
    const item = { type: 'message', id: 'a', role: 'assistant', status: 'completed', content: [] }
    const state = after(...ANSWER, told({ type: 'response.output_item.done', response_id: 'r', item }), { kind: 'ended', itemId: 'a' })
    expect(heardAndNot(answerOf(state)).rest).toBe('')
  })

  test('a late report does not take back what was heard', () => {
    const state = after(...ANSWER, { kind: 'played', itemId: 'a', playedMs: 900 }, { kind: 'played', itemId: 'a', playedMs: 800 })
    expect(answerOf(state).playedMs).toBe(900)
  })

  describe('where the server plays', () => {
    const CALL = [
      ...ANSWER.filter((one) => one.kind === 'message' && one.message.type !== 'response.output_audio.delta'),
      told({ type: 'output_audio_buffer.started', response_id: 'r' }),
    ]
    const DONE = [
      told({ type: 'response.output_item.done', response_id: 'r', item: { type: 'message', id: 'a', role: 'assistant', status: 'completed', content: [] } }),
      told({ type: 'response.done', response: { id: 'r', status: 'completed', status_details: null } }),
    ]
    const reached = (letters: number) => told({ type: 'antiphon.output_audio.heard', response_id: 'r', item_id: 'a', played_ms: 400, letters })

    test('nothing is heard before it says so, and then what it says, though all has been sent', () => {
      expect(heardAndNot(answerOf(after(...CALL, ...DONE))).heard).toBe('')
      const state = after(...CALL, reached(13), ...DONE, reached(7))
      expect(heardAndNot(answerOf(state))).toEqual({ heard: 'One two three', rest: ' four. Five six seven eight.' })
    })

    test('all is heard when it has played to the end', () => {
      const state = after(...CALL, reached(7), ...DONE, told({ type: 'output_audio_buffer.stopped', response_id: 'r' }))
      expect(heardAndNot(answerOf(state)).rest).toBe('')
    })

    test('its letters are code points', () => {
      const words = told({ type: 'response.output_audio_transcript.delta', item_id: 'a', delta: '🎉🎉 Hurrah.' })
      expect(heardAndNot(answerOf(after(...CALL.slice(0, 2), words, reached(2)))).heard).toBe('🎉🎉')
    })

    test('of what is cut it says the words', () => {
      const retrieved = { type: 'message', id: 'a', role: 'assistant', content: [{ type: 'output_audio', transcript: 'One two' }] }
      const cut = after(...CALL, reached(3), told({ type: 'conversation.item.truncated', item_id: 'a', audio_end_ms: 500 }))
      expect(heardAndNot(answerOf(cut)).heard).toBe('One')
      const state = reduce(cut, told({ type: 'conversation.item.retrieved', item: retrieved }))
      expect(heardAndNot(answerOf(state))).toEqual({ heard: 'One two', rest: ' three four. Five six seven eight.' })
    })
  })

  test('an answer that makes no sound is heard when it is read', () => {
    const silent = after(...ANSWER.slice(0, 3), told({ type: 'response.done', response: { id: 'r', status: 'completed', status_details: null } }))
    expect(heardAndNot(answerOf(silent))).toEqual({ heard: 'One two three four. ', rest: '' })
  })

  test('the length of a sound is told from its base64', () => {
    expect(lengthMs(SECOND)).toBe(1000)
    expect(lengthMs(btoa('\0'.repeat(4802)))).toBeCloseTo(100.04, 1)
  })
})

test('a tool of the server tells how far it is, and what came of it later', () => {
  const call = { response_id: 'r', call_id: 'c', name: 'search' }
  const started = told({ type: 'antiphon.tool.started', arguments: '{}', ...call }, 100)
  const running = after(started, told({ type: 'antiphon.tool.progress', text: 'half done', ...call }, 150))
  expect(running.entries).toMatchObject([{ id: 'c', progress: 'half done', output: null, place: 'server' }])
  const done = reduce(running, told({ type: 'antiphon.tool.done', output: '"soon"', ok: true, ...call }, 200))
  const later = reduce(done, told({ type: 'antiphon.task.done', output: '"found"', ok: true, ...call }, 900))
  expect(later.entries).toMatchObject([{ output: '"found"', ok: true, beganMs: 100, endedMs: 900 }])
})

describe('a call that the person has to allow', () => {
  const call = { call_id: 'c', name: 'list_clear' }
  const requested = told({ type: 'antiphon.approval.requested', arguments: '{"list":"shopping"}', expires_in_s: 60, ...call }, 1000)

  test('is asked about, and runs in the same place when it is allowed', () => {
    const asked = after(requested)
    expect(asked.entries).toMatchObject([{ id: 'c', place: 'server', output: null, permission: { state: 'asked', untilMs: 61_000 } }])
    const done = [
      told({ type: 'antiphon.approval.done', outcome: 'allowed', ...call }, 2000),
      told({ type: 'antiphon.tool.started', response_id: 'r', arguments: '{"list":"shopping"}', ...call }, 2100),
      told({ type: 'antiphon.tool.done', response_id: 'r', output: '"gone"', ok: true, ...call }, 2200),
    ].reduce(reduce, asked)
    expect(done.entries).toMatchObject([{ output: '"gone"', beganMs: 2100, endedMs: 2200, permission: { state: 'allowed' } }])
  })

  test.each(['refused', 'expired'])('and is %s, is not run', (outcome) => {
    const state = after(requested, told({ type: 'antiphon.approval.done', outcome, ...call }))
    expect(state.entries).toMatchObject([{ output: null, permission: { state: outcome } }])
  })

  test('of a client’s MCP server is asked about by an item, and answered by one', () => {
    const item = { type: 'mcp_call', id: 'm', name: 'feed', arguments: '', approval_request_id: null, output: null, error: null }
    const whole = { ...item, arguments: '{"animal":"cat"}', approval_request_id: 'q' }
    const running = after(told({ type: 'response.output_item.added', response_id: 'r', item }, 10))
    expect(running.entries).toMatchObject([{ id: 'm', place: 'mcp', permission: null, endedMs: null }])
    const asked = reduce(running, told({ type: 'response.output_item.done', response_id: 'r', item: whole }, 20))
    expect(asked.entries).toMatchObject([{ arguments: '{"animal":"cat"}', permission: { state: 'asked', requestId: 'q' } }])
    const answer = { type: 'mcp_approval_response', id: 'p', approval_request_id: 'q', approve: true }
    const allowed = reduce(asked, told({ type: 'conversation.item.added', previous_item_id: null, item: answer }, 30))
    expect(allowed.entries).toMatchObject([{ output: null, permission: { state: 'allowed' } }])
    const failed = { ...whole, error: { type: 'tool_execution_error', message: 'It bites.' } }
    const over = reduce(allowed, told({ type: 'conversation.item.done', previous_item_id: null, item: failed }, 40))
    expect(over.entries).toMatchObject([{ output: 'It bites.', ok: false, beganMs: 10, endedMs: 40 }])
  })
})

describe('timing', () => {
  const TIMELINE = told({
    type: 'antiphon.timeline', response_id: 'r', item_id: 'q', status: 'completed', reason: null, wait_ms: 700, was_prepared: true, tools: [],
    stages: [{ name: 'silence_complete', ms: 500 }, { name: 'first_audio', ms: 200 }],
  })

  test.each([
    ['before', [{ kind: 'audible', itemId: 'a', atMs: 1080 } as const, TIMELINE]],
    ['after', [TIMELINE, { kind: 'audible', itemId: 'a', atMs: 1080 } as const]],
  ])('the browser’s own share is added when it is known %s the rest', (_, happenings) => {
    const state = after(...QUESTION, ...ANSWER, ...happenings)
    expect(state.timings).toMatchObject([{ question: 'tell me a story', waitMs: 700, playerMs: 80, wasPrepared: true }])
  })
})

describe('a connection that is lost', () => {
  test('leaves nothing that waits, and items for the next session that hold what was said and heard', () => {
    const state = after(
      ...QUESTION, ...ANSWER, { kind: 'played', itemId: 'a', playedMs: 1000 },
      told({ type: 'input_audio_buffer.speech_started', item_id: 'q2' }), { kind: 'disconnected' },
    )
    expect(state.responding).toBe(null)
    expect(state.entries.map((entry) => entry.id)).toEqual(['q', 'a'])
    expect(itemsOf(state.entries)).toEqual([
      { type: 'message', id: 'q', role: 'user', content: [{ type: 'input_text', text: 'tell me a story' }] },
      { type: 'message', id: 'a', role: 'assistant', content: [{ type: 'output_text', text: 'One two three four. ' }] },
    ])
  })

  test('what the server echoes of it is not shown twice', () => {
    const before = after(...QUESTION)
    const item = { type: 'message', id: 'q', role: 'user', status: 'completed', content: [{ type: 'input_text', text: 'tell me a story' }] }
    const state = reduce(before, told({ type: 'conversation.item.added', previous_item_id: null, item }))
    expect(state.entries).toEqual(before.entries)
  })
})

describe('a problem', () => {
  const error = told({ type: 'error', error: { message: 'No.', code: 'invalid_value' } })
  const began = told({ type: 'response.created', response: { id: 'r' } })
  const ended = (status: string) => told({ type: 'response.done', response: { id: 'r', status, status_details: null } })

  test('is shown until an answer that began after it is complete', () => {
    expect(after(error).problem).toEqual({ message: 'No.', code: 'invalid_value', isPast: false })
    expect(after(began, error, ended('completed')).problem).not.toBe(null)
    expect(after(error, began, ended('cancelled')).problem).not.toBe(null)
    expect(after(error, began, ended('completed')).problem).toBe(null)
  })

  test('goes when the person has read it', () => {
    expect(after(error, { kind: 'dismissed' }).problem).toBe(null)
  })

  test('of an answer that failed is told in its words', () => {
    const failed = { id: 'r', status: 'failed', status_details: { error: { message: 'The voice is away.' } } }
    expect(after(error, began, told({ type: 'response.done', response: failed })).problem).toMatchObject({ message: 'The voice is away.' })
  })
})

test('a message that nobody knows changes nothing', () => {
  const state = after(...QUESTION)
  expect(reduce(state, told({ type: 'antiphon.of.tomorrow' }))).toBe(state)
})

test('how long a tool took is told by the server’s clock, not by when its messages came', () => {
  const call = { response_id: 'r', call_id: 'c', name: 'search' }
  const done = after(
    told({ type: 'antiphon.tool.started', arguments: '{}', ...call }, 100),
    told({ type: 'antiphon.tool.done', output: '1', ok: true, ...call }, 990),
  )
  expect(done.entries).toMatchObject([{ tookMs: null }])
  const tools = [{ call_id: 'c', name: 'search', start_ms: 10, ms: 181 }]
  const timeline = { type: 'antiphon.timeline', response_id: 'r', item_id: null, status: 'completed', reason: null, wait_ms: 700, was_prepared: false, stages: [], tools }
  expect(reduce(done, told(timeline)).entries).toMatchObject([{ tookMs: 181 }])
})
