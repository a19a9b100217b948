/** The client library under the playground, for other pages too: see `Conversation`. */
export { CallTransport } from './call';
export type { Permission, ToolEntry } from './calls';
export { type CaptionLine, type CaptionState, LiveCaptions, NO_CAPTIONS } from './captions';
export { Conversation, type ConversationEvents, type ConversationState, type Link } from './conversation';
export { Hearing, type HearingEvents, type MicrophoneState } from './hearing';
export type * from './messages';
export { type Device, type Frame, Microphone, MicrophoneError, type MicrophoneFault, microphones } from './microphone';
export { Resumption, type Return, SentSound } from './resumption';
export { type Counters, NO_COUNTERS, type Quality, type Verdict, between, counters, judged } from './quality';
export { type AssistantEntry, type Entry, type GapEntry, type Happening, NOTHING, type Problem, type SessionState, type Timing, type UserEntry, heardAndNot, reduce, } from './session';
export { SocketTransport } from './socket';
export { type PlaybackState, Speaker, type SpeakerEvents } from './speaker';
export { type PageTool, ToolCalls } from './tools';
export { type Address, type Closed, ConnectionError, type Transport, type TransportEvents, type TransportKind } from './transport';
export { voices } from './voices';
export { type Detection, USUAL, type Wishes, nameOf, patchFrom } from './wishes';
