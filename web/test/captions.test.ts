import { afterEach, describe, expect, it, vi } from 'vitest'

import { type CaptionMessage, LiveCaptions, NO_CAPTIONS, captioned } from '../src/client/captions'
import { FakeSocket, stage } from './browser'

const partial = (id: number, stable: string, tail: string): CaptionMessage => ({
  type: 'transcription', partial: true, id, text: stable + tail, stable, tail, start: id,
})
const final = (id: number, text: string): CaptionMessage => ({ type: 'transcription', partial: false, id, text, start: id })

describe('live captions', () => {
  it('grow a line, and put the final text in its place', () => {
    const messages = [partial(1, '', 'good'), partial(1, 'good', ' morning'), final(1, 'Good morning.'), partial(2, '', 'and')]
    const { lines } = messages.reduce(captioned, NO_CAPTIONS)
    expect(lines).toEqual([
      { id: 1, start: 1, stable: 'Good morning.', tail: '', isOver: true },
      { id: 2, start: 2, stable: '', tail: 'and', isOver: false },
    ])
  })

  it('forget a line of which nothing was intelligible', () => {
    expect([partial(1, 'hm', ''), final(1, '')].reduce(captioned, NO_CAPTIONS).lines).toEqual([])
  })

  it('say what is wrong, and go on', () => {
    const state = captioned(NO_CAPTIONS, { type: 'error', code: 'invalid_audio', message: 'this is no sound', hint: 'Send WebM' })
    expect(state.problem).toBe('this is no sound. Send WebM')
    expect(captioned(state, { type: 'ready' })).toBe(state)
  })
})

describe('the language', () => {
  afterEach(() => vi.unstubAllGlobals())

  it('is said before anything else, and again when another one is spoken', async () => {
    stage()
    vi.stubGlobal('MediaRecorder', class {
      static isTypeSupported = () => true
      state = 'inactive'
      start(): void {}
    })
    const captions = new LiveCaptions(() => undefined)
    await captions.start({ origin: 'http://here', key: null }, null, 'German')
    captions.expect(null)
    expect(FakeSocket.made[0]!.sent).toEqual([
      { action: 'language', language: 'German' }, { action: 'language', language: null },
    ])
    captions.close()
  })
})
