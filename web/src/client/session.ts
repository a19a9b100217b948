/**
 * A conversation as the messages tell it: a pure function from what happened to what there is to show.
 *
 * It knows no socket, no loudspeaker and no clock: `reduce` is given everything as a value, with its time in ms on any
 * one clock. What is in a state is never changed; a new state shares what stayed the same.
 */

import { type ToolEntry, called, toldOfCall, toldOfMcp } from './calls'
import type { Item, RealtimeSession, ResponseDone, ServerMessage, Session, Stage, Timeline, ToolSpan } from './messages'

/** A stretch of an answer's words, and where its sound begins. */
export interface Span {
  readonly text: string
  readonly startMs: number
}

export interface UserEntry {
  readonly kind: 'user'
  readonly id: string
  readonly text: string
  /** What seems to follow `text` while it is spoken: it may change or go. Empty once the words are final. */
  readonly tail: string
  readonly isSpoken: boolean
  readonly state: 'speaking' | 'recognising' | 'done' | 'failed'
}

export interface AssistantEntry {
  readonly kind: 'assistant'
  readonly id: string
  readonly responseId: string
  readonly spans: readonly Span[]
  readonly isSpoken: boolean
  readonly state: 'coming' | 'done' | 'cut'
  /** Of its sound; 0 in a call, where it comes by another way. */
  readonly receivedMs: number
  readonly playedMs: number
  /** Letters from the beginning that were heard. It never shrinks while the answer is spoken. */
  readonly heardLength: number
}

/** The connection broke here and was taken up again. */
export interface GapEntry {
  readonly kind: 'gap'
  readonly id: string
  readonly lengthMs: number
  /** All that was missed has come after all. */
  readonly isComplete: boolean
}

export type Entry = UserEntry | AssistantEntry | ToolEntry | GapEntry

/** Where the time of one answer went. */
export interface Timing {
  readonly responseId: string
  readonly question: string
  readonly status: string
  readonly stages: readonly Stage[]
  /** From the end of speech, or from the request, to the first sound that the server sent. */
  readonly waitMs: number | null
  /** From the first sound that came to the first that was heard: this browser's share. Null where it is not known. */
  readonly playerMs: number | null
  /** The server had begun with the answer before the turn was over. */
  readonly wasPrepared: boolean
  readonly tools: readonly ToolSpan[]
}

export interface Problem {
  readonly message: string
  readonly code: string | null
  /** An answer has begun since. */
  readonly isPast: boolean
}

export interface SessionState {
  readonly session: Session | null
  /** As the server made it, before anything was asked of it. Null: there is none, or it is not for talking. */
  readonly own: RealtimeSession | null
  /** Something was said aloud in this session: from then on a server keeps the voice. */
  readonly hasSpoken: boolean
  readonly entries: readonly Entry[]
  readonly timings: readonly Timing[]
  /** The newest, until it is dismissed or an answer that began after it is complete. */
  readonly problem: Problem | null
  readonly isPersonSpeaking: boolean
  /** Id of the response that is being made, if there is one. */
  readonly responding: string | null
  /** Id of the response that the server plays, in a call. */
  readonly playing: string | null
  readonly marks: Readonly<Record<string, Marks>>
  /** When the connection broke that is to be taken up again. */
  readonly brokenAtMs: number | null
}

/** When an answer's first sound came, and when it was heard. */
interface Marks {
  readonly cameMs: number | null
  readonly audibleMs: number | null
}

export type Happening =
  | { readonly kind: 'message'; readonly message: ServerMessage; readonly atMs: number }
  | { readonly kind: 'audible'; readonly itemId: string; readonly atMs: number }
  | { readonly kind: 'played'; readonly itemId: string; readonly playedMs: number }
  | { readonly kind: 'ended'; readonly itemId: string }
  | { readonly kind: 'cut'; readonly itemId: string; readonly playedMs: number }
  | { readonly kind: 'answered'; readonly callId: string; readonly output: string; readonly ok: boolean; readonly atMs: number }
  /** The person has read of the problem. */
  | { readonly kind: 'dismissed' }
  /** The connection broke, and may be taken up again. */
  | { readonly kind: 'broken'; readonly atMs: number }
  /** It is over, and with it the session. */
  | { readonly kind: 'disconnected' }
  | { readonly kind: 'forgotten' }

export const NOTHING: SessionState = {
  session: null, own: null, hasSpoken: false, entries: [], timings: [], problem: null, isPersonSpeaking: false,
  responding: null, playing: null, marks: {}, brokenAtMs: null,
}

const KEPT_TIMINGS = 200
const MS_PER_LETTER = 1000 / 15 // of English read aloud; only used for a clause whose sound still comes
const WIRE_BYTES_PER_MS = 48 // 24 kHz, 16 bits

/** What there is after it happened. */
export function reduce(state: SessionState, happening: Happening): SessionState {
  switch (happening.kind) {
    case 'message':
      return hear(state, happening.message, happening.atMs)
    case 'audible':
      return audible(state, happening.itemId, happening.atMs)
    case 'played':
      return withAssistant(state, happening.itemId, (entry) => ({
        ...entry, playedMs: Math.max(entry.playedMs, happening.playedMs),
      }))
    case 'ended':
      return withAssistant(state, happening.itemId, (entry) => ({ ...entry, playedMs: entry.receivedMs }))
    case 'cut':
      return withAssistant(state, happening.itemId, (entry) => cutAt(entry, happening.playedMs))
    case 'answered':
      return withTool(state, happening.callId, (entry) => ({
        ...entry, output: happening.output, ok: happening.ok, endedMs: happening.atMs,
      }))
    case 'dismissed':
      return { ...state, problem: null }
    case 'broken':
      return { ...state, brokenAtMs: happening.atMs }
    case 'disconnected':
      return disconnected(state)
    case 'forgotten':
      return NOTHING
  }
}

/** An answer's words: those that were heard, and those that were not, or not yet. */
export function heardAndNot(entry: AssistantEntry): { heard: string; rest: string } {
  const whole = wordsOf(entry)
  return { heard: whole.slice(0, entry.heardLength), rest: whole.slice(entry.heardLength) }
}

function wordsOf(entry: AssistantEntry): string {
  return entry.spans.map((span) => span.text).join('')
}

/** How many letters were heard, as far as one can tell here: in a call the server has to say. */
function heardLengthOf(entry: AssistantEntry): number {
  const whole = wordsOf(entry).length
  if (!entry.isSpoken) return whole
  if (entry.receivedMs === 0) return 0
  if (entry.state === 'done' && entry.playedMs >= entry.receivedMs) return whole
  let heard = 0
  for (const [n, span] of entry.spans.entries()) {
    const end = entry.spans[n + 1]?.startMs ?? expectedEndMs(entry, span)
    const share = end > span.startMs ? (entry.playedMs - span.startMs) / (end - span.startMs) : entry.playedMs >= end ? 1 : 0
    if (share < 1) return heard + wholeWords(span.text, Math.max(0, share)).length
    heard += span.text.length
  }
  return heard
}

/** Where the sound of the last clause ends: while it comes, its words say how long it will be. */
function expectedEndMs(entry: AssistantEntry, span: Span): number {
  const leastMs = entry.state === 'coming' ? span.text.length * MS_PER_LETTER : 0
  return Math.max(entry.receivedMs, span.startMs + leastMs)
}

function wholeWords(text: string, share: number): string {
  const limit = Math.floor(text.length * share)
  if (limit >= text.length) return text
  const border = text.lastIndexOf(' ', limit)
  return border > 0 ? text.slice(0, border) : ''
}

// --- messages ---------------------------------------------------------------------------------------------------------

function hear(state: SessionState, message: ServerMessage, atMs: number): SessionState {
  switch (message.type) {
    case 'session.created':
      return { ...state, session: message.session, own: message.session.type === 'realtime' ? message.session : null, hasSpoken: false }
    case 'session.updated':
      return { ...state, session: message.session }
    case 'error':
      return { ...state, problem: { message: message.error.message, code: message.error.code ?? null, isPast: false } }
    case 'input_audio_buffer.speech_started':
      return {
        ...withEntry(state, speaking(message.item_id), undefined),
        isPersonSpeaking: true,
      }
    case 'input_audio_buffer.speech_stopped':
      return {
        ...withUser(state, message.item_id, (entry) => ({ ...entry, state: 'recognising' })), isPersonSpeaking: false,
      }
    case 'input_audio_buffer.cleared':
      return {
        ...state, isPersonSpeaking: false,
        entries: state.entries.filter((entry) => entry.kind !== 'user' || entry.state !== 'speaking'),
      }
    case 'conversation.item.added':
    case 'conversation.item.done':
      return added(state, message.item, message.previous_item_id, atMs)
    case 'conversation.item.deleted':
      return { ...state, entries: state.entries.filter((entry) => entry.id !== message.item_id) }
    case 'conversation.item.truncated':
      return withAssistant(state, message.item_id, (entry) => cutAt(entry, message.audio_end_ms))
    case 'conversation.item.retrieved':
      return retrieved(state, message.item)
    case 'conversation.item.input_audio_transcription.delta':
      return withUser(withSpeaker(state, message.item_id), message.item_id, (entry) => ({
        ...entry, text: entry.text + message.delta, tail: '', // it had begun with these words; what is left of it follows
      }))
    case 'antiphon.transcription.tail':
      return withUser(withSpeaker(state, message.item_id), message.item_id, (entry) => ({ ...entry, tail: message.tail }))
    case 'conversation.item.input_audio_transcription.completed':
      return withUser(state, message.item_id, (entry) => ({ ...entry, text: message.transcript, tail: '', state: 'done' }))
    case 'conversation.item.input_audio_transcription.failed':
      return withUser(state, message.item_id, (entry) => ({ ...entry, tail: '', state: 'failed' }))
    case 'response.created':
      return { ...state, responding: message.response.id, problem: state.problem && { ...state.problem, isPast: true } }
    case 'response.done':
      return done(state, message.response)
    case 'response.output_item.added':
      if (message.item.type === 'message') return began(state, message.item, message.response_id)
      return ofMcp(state, message.item, message.response_id, atMs)
    case 'response.output_item.done':
      return itemDone(state, message.item, message.response_id, atMs)
    case 'response.output_text.delta':
    case 'response.output_audio_transcript.delta':
      return withAssistant(state, message.item_id, (entry) => ({
        ...entry,
        isSpoken: message.type === 'response.output_audio_transcript.delta',
        spans: [...entry.spans, { text: message.delta, startMs: entry.receivedMs }],
      }))
    case 'response.output_audio.delta':
      return sound(state, message.item_id, message.response_id, lengthMs(message.delta), atMs)
    case 'output_audio_buffer.started':
      return { ...came(state, message.response_id, atMs), playing: message.response_id, hasSpoken: true }
    case 'output_audio_buffer.stopped':
      return withHeardOut(state.playing === message.response_id ? { ...state, playing: null } : state, message.response_id)
    case 'output_audio_buffer.cleared':
      return state.playing === message.response_id ? { ...state, playing: null } : state
    case 'antiphon.output_audio.heard':
      return withAssistant(state, message.item_id, (entry) => heardTo(entry, message.played_ms, message.letters))
    case 'antiphon.session.resumed':
      return resumed(state, message.event_id, message.is_complete, atMs)
    case 'antiphon.timeline':
      return timed(state, message)
    default: {
      const call = toldOfCall(message, (id) => callOf(state, id), atMs)
      return call === null ? state : withEntry(state, call, undefined)
    }
  }
}

/** How long the sound of a delta lasts, told from its base64. */
export function lengthMs(base64: string): number {
  const padding = base64.endsWith('==') ? 2 : base64.endsWith('=') ? 1 : 0
  return (base64.length * 0.75 - padding) / WIRE_BYTES_PER_MS
}

function added(state: SessionState, item: Item, previous: string | null, atMs: number): SessionState {
  if (item.type !== 'message') return ofMcp(state, item, '', atMs)
  if (!item.id) return state
  if (item.role === 'assistant') {
    const known = state.entries.some((entry) => entry.id === item.id)
    if (known || item.status === 'in_progress') return state
    return withEntry(state, restoredAnswer(item.id, words(item)), previous)
  }
  if (item.role !== 'user') return state
  const isSpoken = item.content.some((part) => part.type === 'input_audio')
  const known = state.entries.find((entry): entry is UserEntry => entry.kind === 'user' && entry.id === item.id)
  if (known && (known.state === 'done' || known.state === 'failed')) return state
  const text = words(item)
  const isWaiting = isSpoken && !text
  return withEntry(state, {
    kind: 'user', id: item.id, text: text || (known?.text ?? ''), tail: isWaiting ? (known?.tail ?? '') : '', isSpoken,
    state: isWaiting ? 'recognising' : 'done',
  }, previous)
}

function speaking(id: string): UserEntry {
  return { kind: 'user', id, text: '', tail: '', isSpoken: true, state: 'speaking' }
}

/** Where only the client says what a turn is, its first words are the first that is heard of it. */
function withSpeaker(state: SessionState, id: string): SessionState {
  return state.entries.some((entry) => entry.id === id) ? state : withEntry(state, speaking(id), undefined)
}

/** An answer of an earlier connection, which was given back to the server as text. */
function restoredAnswer(id: string, text: string): AssistantEntry {
  return {
    kind: 'assistant', id, responseId: '', spans: [{ text, startMs: 0 }], isSpoken: false, state: 'done',
    receivedMs: 0, playedMs: 0, heardLength: text.length,
  }
}

function words(item: Extract<Item, { type: 'message' }>): string {
  return item.content
    .map((part) => ('text' in part ? part.text : 'transcript' in part ? (part.transcript ?? '') : ''))
    .join(' ')
    .trim()
}

function began(state: SessionState, item: Extract<Item, { type: 'message' }>, responseId: string): SessionState {
  return withEntry(state, {
    kind: 'assistant', id: item.id ?? '', responseId, spans: [], isSpoken: false, state: 'coming', receivedMs: 0,
    playedMs: 0, heardLength: 0,
  }, undefined)
}

function itemDone(state: SessionState, item: Item, responseId: string, atMs: number): SessionState {
  if (item.type === 'function_call') {
    return withEntry(state, called({
      id: item.call_id ?? '', responseId, name: item.name, arguments: item.arguments, place: 'page', beganMs: atMs,
    }), undefined)
  }
  if (item.type !== 'message') return ofMcp(state, item, responseId, atMs)
  if (!item.id) return state
  const isCut = item.status === 'incomplete'
  return withAssistant(state, item.id, (entry) => ({
    ...entry, state: entry.state === 'cut' || isCut ? 'cut' : 'done',
  }))
}

function ofMcp(state: SessionState, item: Item, responseId: string, atMs: number): SessionState {
  const call = toldOfMcp(item, state.entries, responseId, atMs)
  return call === null ? state : withEntry(state, call, undefined)
}

/** What the server kept of an answer is what was heard of it. */
function retrieved(state: SessionState, item: Item): SessionState {
  if (item.type !== 'message' || item.role !== 'assistant' || !item.id) return state
  return withAssistant(state, item.id, (entry) => (entry.state === 'cut' ? { ...entry, heardLength: words(item).length } : entry))
}

/** No more of it will be heard. Of a call's answer it is not known yet how much that is. */
function cutAt(entry: AssistantEntry, playedMs: number): AssistantEntry {
  const cut = { ...entry, state: 'cut' as const, playedMs }
  return entry.receivedMs === 0 ? cut : { ...cut, heardLength: heardLengthOf(cut) }
}

/** The server plays, and says how far it is; its letters are code points. */
function heardTo(entry: AssistantEntry, playedMs: number, letters: number): AssistantEntry {
  if (entry.state === 'cut') return entry
  const heard = [...wordsOf(entry)].slice(0, letters).join('').length
  return { ...entry, playedMs: Math.max(entry.playedMs, playedMs), heardLength: Math.max(entry.heardLength, heard) }
}

/** All that was said in this response was heard. */
function withHeardOut(state: SessionState, responseId: string): SessionState {
  return changed(state, (entry) =>
    entry.kind === 'assistant' && entry.responseId === responseId && entry.state !== 'cut'
      ? { ...entry, heardLength: wordsOf(entry).length }
      : entry,
  )
}

function sound(state: SessionState, itemId: string, responseId: string, ms: number, atMs: number): SessionState {
  const after = { ...came(state, responseId, atMs), hasSpoken: true }
  return withAssistant(after, itemId, (entry) => ({ ...entry, receivedMs: entry.receivedMs + ms }))
}

/** Something was to be heard of this response, for the first time or not. */
function came(state: SessionState, responseId: string, atMs: number): SessionState {
  if (state.marks[responseId]?.cameMs != null) return state
  return { ...state, marks: { ...state.marks, [responseId]: { cameMs: atMs, audibleMs: null } } }
}

function audible(state: SessionState, itemId: string, atMs: number): SessionState {
  const entry = state.entries.find((one): one is AssistantEntry => one.kind === 'assistant' && one.id === itemId)
  const marks = entry && state.marks[entry.responseId]
  if (!entry || !marks || marks.audibleMs !== null) return state
  const marked = { ...marks, audibleMs: atMs }
  return {
    ...state,
    marks: { ...state.marks, [entry.responseId]: marked },
    timings: state.timings.map((timing) =>
      timing.responseId === entry.responseId ? { ...timing, playerMs: playerMs(marked) } : timing,
    ),
  }
}

function playerMs(marks: Marks | undefined): number | null {
  return marks?.cameMs == null || marks.audibleMs == null ? null : Math.max(0, marks.audibleMs - marks.cameMs)
}

function timed(state: SessionState, told: Timeline): SessionState {
  const asked = state.entries.filter((entry): entry is UserEntry => entry.kind === 'user')
  const question = told.item_id === null ? asked.at(-1) : asked.find((entry) => entry.id === told.item_id)
  const timing: Timing = {
    responseId: told.response_id,
    question: question?.text ?? '',
    status: told.status,
    stages: told.stages,
    waitMs: told.wait_ms,
    playerMs: playerMs(state.marks[told.response_id]),
    wasPrepared: told.was_prepared,
    tools: told.tools,
  }
  const { [told.response_id]: _, ...rest } = state.marks
  const marks = timing.playerMs === null ? state.marks : rest
  const after = told.tools.reduce((before, tool) => withTool(before, tool.call_id, (call) => ({ ...call, tookMs: tool.ms })), state)
  return { ...after, marks, timings: [...state.timings, timing].slice(-KEPT_TIMINGS) }
}

function done(state: SessionState, response: ResponseDone['response']): SessionState {
  const wasHeard = state.marks[response.id]?.cameMs != null || state.playing === response.id
  // What has no sound at all is heard when it is read.
  const told = wasHeard ? state : withHeardOut(state, response.id)
  const responding = state.responding === response.id ? null : state.responding
  return { ...told, responding, problem: problemAfter(state.problem, response) }
}

function problemAfter(problem: Problem | null, response: ResponseDone['response']): Problem | null {
  const failure = response.status_details?.error?.message
  if (failure) return { message: failure, code: 'response_failed', isPast: false }
  return problem?.isPast && response.status === 'completed' ? null : problem
}

/** What was missed follows, as if it had come late. */
function resumed(state: SessionState, id: string, isComplete: boolean, atMs: number): SessionState {
  const lengthMs = atMs - (state.brokenAtMs ?? atMs)
  return { ...withEntry(state, { kind: 'gap', id, lengthMs, isComplete }, undefined), brokenAtMs: null }
}

/** Nothing more will come of what was under way. */
function disconnected(state: SessionState): SessionState {
  return {
    ...state,
    own: null,
    hasSpoken: false,
    isPersonSpeaking: false,
    responding: null,
    playing: null,
    marks: {},
    brokenAtMs: null,
    entries: state.entries
      .filter((entry) => entry.kind !== 'user' || entry.state !== 'speaking')
      .map((entry) => {
        if (entry.kind === 'assistant' && isUnfinished(entry)) return { ...entry, state: 'cut' as const }
        if (entry.kind === 'user' && entry.state === 'recognising') return { ...entry, tail: '', state: 'failed' as const }
        return entry
      }),
  }
}

function isUnfinished(entry: AssistantEntry): boolean {
  return entry.state === 'coming' || entry.heardLength < wordsOf(entry).length
}

// --- entries ----------------------------------------------------------------------------------------------------------

/** Put an entry in its place: that of the entry with its id, or behind `previous`; undefined is the end. */
function withEntry(state: SessionState, entry: Entry, previous: string | null | undefined): SessionState {
  const entries = [...state.entries]
  const known = entries.findIndex((one) => one.id === entry.id)
  if (known >= 0) {
    entries[known] = entry
    return { ...state, entries }
  }
  const before = previous == null ? -1 : entries.findIndex((one) => one.id === previous)
  entries.splice(before < 0 ? entries.length : before + 1, 0, entry)
  return { ...state, entries }
}

function withUser(state: SessionState, id: string, change: (entry: UserEntry) => UserEntry): SessionState {
  return changed(state, (entry) => (entry.kind === 'user' && entry.id === id ? change(entry) : entry))
}

function withAssistant(state: SessionState, id: string, change: (entry: AssistantEntry) => AssistantEntry): SessionState {
  return changed(state, (entry) => (entry.kind === 'assistant' && entry.id === id ? measured(change(entry)) : entry))
}

/** With what was heard of it by now, and never less than before. */
function measured(entry: AssistantEntry): AssistantEntry {
  return { ...entry, heardLength: Math.max(entry.heardLength, heardLengthOf(entry)) }
}

function callOf(state: SessionState, id: string): ToolEntry | undefined {
  return state.entries.find((entry): entry is ToolEntry => entry.kind === 'tool' && entry.id === id)
}

function withTool(state: SessionState, id: string, change: (entry: ToolEntry) => ToolEntry): SessionState {
  return changed(state, (entry) => (entry.kind === 'tool' && entry.id === id ? change(entry) : entry))
}

function changed(state: SessionState, change: (entry: Entry) => Entry): SessionState {
  return { ...state, entries: state.entries.map(change) }
}
