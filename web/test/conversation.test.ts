import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

import { Conversation } from '../src/client/conversation'
import { SentSound } from '../src/client/resumption'
import { USUAL } from '../src/client/wishes'
import { FakeSocket, type FakeDevices, stage } from './browser'

let devices: FakeDevices
let conversation: Conversation

beforeEach(async () => {
  vi.useFakeTimers()
  devices = stage()
  conversation = new Conversation({ origin: 'http://here', key: null }, 'websocket', [], { onState: () => undefined })
  await conversation.connect()
  socket().says({ type: 'session.created', event_id: 'event_1', session: { type: 'realtime', audio: { input: {}, output: { voice: 'marin' } } } as never })
})

afterEach(() => {
  conversation.disconnect()
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

function socket(): FakeSocket {
  return FakeSocket.made.at(-1)!
}

function kinds(of = socket()): string[] {
  return of.sent.map((message) => message.type)
}

describe('push-to-talk', () => {
  beforeEach(() => conversation.want({ ...USUAL, detection: { kind: 'none' } }))

  async function hold(ms: number): Promise<void> {
    conversation.press()
    await vi.advanceTimersByTimeAsync(ms)
    conversation.release()
    conversation.release() // both the button and the page hear of a key
    await vi.advanceTimersByTimeAsync(500)
  }

  test('commits once what was said while it was held', async () => {
    await hold(800)
    expect(kinds().slice(-3)).toEqual(['input_audio_buffer.clear', 'input_audio_buffer.commit', 'response.create'])
    expect(conversation.state.isPressed).toBe(false)
  })

  test('that was only touched asks for nothing', async () => {
    await hold(30)
    expect(kinds().slice(-2)).toEqual(['input_audio_buffer.clear', 'input_audio_buffer.clear'])
    expect(kinds()).not.toContain('response.create')
    expect(conversation.state.isPressed).toBe(false)
  })

  test('pressed again at once goes on with the same turn', async () => {
    conversation.press()
    await vi.advanceTimersByTimeAsync(800)
    conversation.release()
    await vi.advanceTimersByTimeAsync(50)
    await hold(800)
    expect(kinds().filter((kind) => kind === 'input_audio_buffer.commit')).toHaveLength(1)
  })
})

describe('a microphone that is unplugged', () => {
  function unplug(...left: string[]): void {
    devices.found = left
    devices.tracks.at(-1)!.onended!()
  }

  test('in mid-sentence leaves silence behind until the turn is over, and the page says so', async () => {
    devices.speak(5)
    socket().says({ type: 'input_audio_buffer.speech_started', event_id: 'event_2', item_id: 'q' } as never)
    const before = socket().soundBytes
    unplug()
    await vi.advanceTimersByTimeAsync(1500)
    expect(conversation.state.microphone).toMatchObject({ state: 'fault', fault: 'lost', others: [] })
    expect(conversation.state.microphone.message).toContain('gone')
    expect(socket().soundBytes - before).toBeGreaterThan(1400 * 48)
    socket().says({ type: 'input_audio_buffer.speech_stopped', event_id: 'event_3', item_id: 'q' } as never)
    await vi.advanceTimersByTimeAsync(200)
    const after = socket().soundBytes
    await vi.advanceTimersByTimeAsync(1000)
    expect(socket().soundBytes).toBe(after)
  })

  test('in silence is followed by a second of it, in case a turn has just begun', async () => {
    unplug()
    await vi.advanceTimersByTimeAsync(3000)
    expect(socket().soundBytes).toBe(1000 * 48)
  })

  test('while it is held ends what was said', async () => {
    conversation.want({ ...USUAL, detection: { kind: 'none' } })
    conversation.press()
    await vi.advanceTimersByTimeAsync(300)
    devices.speak(5)
    unplug()
    await vi.advanceTimersByTimeAsync(500)
    expect(kinds().slice(-2)).toEqual(['input_audio_buffer.commit', 'response.create'])
    expect(socket().soundBytes).toBe(5 * 960)
  })

  test('is offered a replacement among those that there are, and takes it only when asked', async () => {
    devices.plug('default', 'desk', 'headset')
    await vi.advanceTimersByTimeAsync(100)
    unplug('default', 'headset')
    await vi.advanceTimersByTimeAsync(100)
    expect(conversation.state.microphone.others).toEqual([{ id: 'headset', name: 'The headset microphone' }])
    devices.plug('default', 'headset')
    await vi.advanceTimersByTimeAsync(100)
    expect(conversation.state.microphone.state).toBe('fault')
    await conversation.choose('headset')
    expect(conversation.state.microphone).toMatchObject({ state: 'on', deviceId: 'headset', others: [] })
    const before = socket().soundBytes
    devices.speak(3)
    expect(socket().soundBytes - before).toBe(3 * 960)
  })

  test('is replaced by one that is plugged in, and by itself first', async () => {
    await conversation.choose('desk')
    unplug()
    await vi.advanceTimersByTimeAsync(100)
    devices.plug('headset', 'desk')
    await vi.advanceTimersByTimeAsync(100)
    expect(conversation.state.microphone).toMatchObject({ state: 'on', deviceId: 'desk' })
  })

  test('is let go of, if it is allowed only after one has hung up', async () => {
    unplug()
    await vi.advanceTimersByTimeAsync(100)
    devices.found = ['headset']
    const choosing = conversation.choose('headset')
    conversation.disconnect()
    await choosing
    expect(devices.tracks.at(-1)!.isStopped).toBe(true)
    expect(conversation.state.microphone.state).toBe('off')
  })

  test('that is plugged out while another is in use changes nothing', async () => {
    devices.plug('desk', 'headset')
    devices.plug('desk')
    await vi.advanceTimersByTimeAsync(100)
    expect(conversation.state.microphone).toMatchObject({ state: 'on', deviceId: 'desk' })
    expect(devices.tracks).toHaveLength(1)
  })
})

describe('a connection that breaks', () => {
  const TOKEN = { type: 'antiphon.session.resumable', session_id: 's', token: 'resume_1', within_s: 30 } as const

  async function broken(): Promise<FakeSocket> {
    const first = socket()
    first.says({ ...TOKEN, event_id: 'event_2' })
    first.says({ type: 'response.created', event_id: 'event_3', response: { id: 'r' } } as never)
    devices.speak(50)
    first.breaks()
    await vi.advanceTimersByTimeAsync(0)
    return first
  }

  test('is taken up again: the same session, what was said meanwhile, and nothing twice', async () => {
    await broken()
    expect(conversation.state.link.state).toBe('waiting')
    expect(conversation.state.session.responding).toBe('r')
    devices.speak(25)
    conversation.write('still here')
    await vi.advanceTimersByTimeAsync(1000)
    expect(socket().url).toBe('ws://here/v1/realtime?antiphon=1&resume=resume_1&after=event_3')
    expect(conversation.state.link.state).toBe('connected')
    devices.speak(5)
    expect(socket().soundBytes, 'nothing overtakes what was lost on the way').toBe(0)
    socket().says({ type: 'antiphon.session.resumed', event_id: 'event_9', session_id: 's', missed: 2, is_complete: true, heard_ms: 900 })
    expect(socket().soundBytes).toBe((1000 - 900 + 500 + 100) * 48)
    expect(kinds()).toEqual(['response.cancel', 'conversation.item.create', 'response.create'])
    expect(conversation.state.session.entries).toMatchObject([{ kind: 'gap', isComplete: true }])
    devices.speak(1)
    expect(socket().soundBytes).toBe(720 * 48)
  })

  test('again, before it was back, is gone on with from the last message that came', async () => {
    await broken()
    await vi.advanceTimersByTimeAsync(1000)
    socket().says({ type: 'antiphon.session.resumed', event_id: 'event_9', session_id: 's', missed: 0, is_complete: true, heard_ms: 1000 })
    socket().breaks()
    await vi.advanceTimersByTimeAsync(1000)
    expect(socket().url).toContain('after=event_9')
    expect(FakeSocket.made).toHaveLength(3)
  })

  test('whose session is over meanwhile goes on with a new one, which is told what was said', async () => {
    socket().says({
      type: 'conversation.item.added', event_id: 'event_4', previous_item_id: null,
      item: { type: 'message', id: 'q', role: 'user', content: [{ type: 'input_text', text: 'hello' }] },
    } as never)
    await broken()
    FakeSocket.isOpen = false
    setTimeout(() => (FakeSocket.isOpen = true), 650)
    await vi.advanceTimersByTimeAsync(5000)
    expect(FakeSocket.made.map(({ url }) => url.split('?')[1]!.split('&')[1])).toContain('resumable=1')
    expect(socket().url).toContain('resumable=1')
    expect(kinds()).toEqual(['session.update', 'conversation.item.create'])
    expect(conversation.state.session).toMatchObject({ responding: null, brokenAtMs: null })
  })

  test('for longer than the server waits is not asked for again', async () => {
    await broken()
    vi.stubGlobal('fetch', async () => Promise.reject(new TypeError('no network')))
    await vi.advanceTimersByTimeAsync(31_000)
    vi.stubGlobal('fetch', async () => new Response('{}'))
    await vi.advanceTimersByTimeAsync(12_000)
    expect(FakeSocket.made).toHaveLength(2)
    expect(socket().url).toContain('resumable=1')
  })

  test('without telling anybody is noticed by what does not come', async () => {
    const first = socket()
    first.says({ ...TOKEN, event_id: 'event_2' })
    vi.stubGlobal('fetch', async () => Promise.reject(new TypeError('no network')))
    await vi.advanceTimersByTimeAsync(3000)
    socket().says({ type: 'antiphon.unknown', event_id: 'event_3' } as never)
    await vi.advanceTimersByTimeAsync(3900)
    expect(conversation.state.link.state, 'the server has just said something').toBe('connected')
    await vi.advanceTimersByTimeAsync(1500)
    expect(conversation.state.link.state).toBe('waiting')
    vi.stubGlobal('fetch', async () => new Response('{}'))
    await vi.advanceTimersByTimeAsync(10_000)
    expect(socket().url).toContain('resume=resume_1')
  })

  test('of a server that offers no return leaves nothing that waits', async () => {
    socket().breaks()
    await vi.advanceTimersByTimeAsync(1000)
    expect(socket().url).toContain('resumable=1')
    expect(kinds()).toEqual(['session.update'])
  })
})

describe('a server that is not ready yet', () => {
  async function conversationWith(isReady: () => boolean): Promise<Conversation> {
    vi.stubGlobal('fetch', async (url: string) => new Response('{}', { status: !url.endsWith('/ready') || isReady() ? 200 : 503 }))
    const other = new Conversation({ origin: 'http://here', key: null }, 'websocket', [], { onState: () => undefined })
    await other.connect()
    return other
  }

  test('is waited for, by whoever connects for the first time too', async () => {
    let isReady = false
    const other = await conversationWith(() => isReady)
    expect(other.state.link).toMatchObject({ state: 'waiting', message: 'The server is still warming up.' })
    await vi.advanceTimersByTimeAsync(5000)
    expect(other.state.link.state).toBe('waiting')
    isReady = true
    await vi.advanceTimersByTimeAsync(10_000)
    expect(other.state.link.state).toBe('connected')
    other.disconnect()
  })

  test('is not waited for any more by whoever has given up', async () => {
    const other = await conversationWith(() => false)
    other.disconnect()
    await vi.advanceTimersByTimeAsync(20_000)
    expect(other.state.link.state).toBe('idle')
  })
})

describe('sound that was sent', () => {
  const frame = () => new ArrayBuffer(960)

  test('is kept for a while, and found by how much of it was heard', () => {
    const sent = new SentSound()
    for (let n = 0; n < 1000; n++) sent.keep(frame())
    expect(sent.since(20_000)).toHaveLength(0)
    for (let n = 0; n < 10; n++) sent.keep(frame())
    expect(sent.since(20_100)).toHaveLength(5)
    sent.keep(frame())
    expect(sent.since(0).length * 20, 'no more than is kept').toBe(5000)
  })
})

test('a browser that holds the sound back holds nothing else up, and it is said', async () => {
  devices.isHeldBack = true
  const other = new Conversation({ origin: 'http://here', key: null }, 'websocket', [], { onState: () => undefined })
  void other.connect()
  await vi.advanceTimersByTimeAsync(2500)
  expect(other.state).toMatchObject({ link: { state: 'connected' }, isHeldBack: true })
  devices.isHeldBack = false
  await other.unhold()
  expect(other.state.isHeldBack).toBe(false)
  other.disconnect()
})

describe('a call that waits to be allowed', () => {
  test('of the server is answered with a message of ours, once', () => {
    socket().says({
      type: 'antiphon.approval.requested', event_id: 'e', call_id: 'c', name: 'list_clear', arguments: '{}', expires_in_s: 60,
    })
    conversation.allow('c', false)
    expect(socket().sent.at(-1)).toEqual({ type: 'antiphon.approval.answer', call_id: 'c', approve: false })
    socket().says({ type: 'antiphon.approval.done', event_id: 'f', call_id: 'c', name: 'list_clear', outcome: 'refused' })
    conversation.allow('c', true)
    expect(kinds().filter((kind) => kind === 'antiphon.approval.answer')).toHaveLength(1)
  })

  test('of an MCP server is answered with an item', () => {
    const item = { type: 'mcp_call', id: 'm', name: 'feed', arguments: '{}', approval_request_id: 'q', output: null, error: null }
    socket().says({ type: 'response.output_item.done', event_id: 'e', response_id: 'r', item } as never)
    conversation.allow('m', true)
    expect(socket().sent.at(-1)).toMatchObject({ item: { type: 'mcp_approval_response', approval_request_id: 'q', approve: true } })
  })
})
