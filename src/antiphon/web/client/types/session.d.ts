/**
 * A conversation as the messages tell it: a pure function from what happened to what there is to show.
 *
 * It knows no socket, no loudspeaker and no clock: `reduce` is given everything as a value, with its time in ms on any
 * one clock. What is in a state is never changed; a new state shares what stayed the same.
 */
import { type ToolEntry } from './calls';
import type { RealtimeSession, ServerMessage, Session, Stage, ToolSpan } from './messages';
/** A stretch of an answer's words, and where its sound begins. */
export interface Span {
    readonly text: string;
    readonly startMs: number;
}
export interface UserEntry {
    readonly kind: 'user';
    readonly id: string;
    readonly text: string;
    /** What seems to follow `text` while it is spoken: it may change or go. Empty once the words are final. */
    readonly tail: string;
    readonly isSpoken: boolean;
    readonly state: 'speaking' | 'recognising' | 'done' | 'failed';
}
export interface AssistantEntry {
    readonly kind: 'assistant';
    readonly id: string;
    readonly responseId: string;
    readonly spans: readonly Span[];
    readonly isSpoken: boolean;
    readonly state: 'coming' | 'done' | 'cut';
    /** Of its sound; 0 in a call, where it comes by another way. */
    readonly receivedMs: number;
    readonly playedMs: number;
    /** Letters from the beginning that were heard. It never shrinks while the answer is spoken. */
    readonly heardLength: number;
}
/** The connection broke here and was taken up again. */
export interface GapEntry {
    readonly kind: 'gap';
    readonly id: string;
    readonly lengthMs: number;
    /** All that was missed has come after all. */
    readonly isComplete: boolean;
}
export type Entry = UserEntry | AssistantEntry | ToolEntry | GapEntry;
/** Where the time of one answer went. */
export interface Timing {
    readonly responseId: string;
    readonly question: string;
    readonly status: string;
    readonly stages: readonly Stage[];
    /** From the end of speech, or from the request, to the first sound that the server sent. */
    readonly waitMs: number | null;
    /** From the first sound that came to the first that was heard: this browser's share. Null where it is not known. */
    readonly playerMs: number | null;
    /** The server had begun with the answer before the turn was over. */
    readonly wasPrepared: boolean;
    readonly tools: readonly ToolSpan[];
}
export interface Problem {
    readonly message: string;
    readonly code: string | null;
    /** An answer has begun since. */
    readonly isPast: boolean;
}
export interface SessionState {
    readonly session: Session | null;
    /** As the server made it, before anything was asked of it. Null: there is none, or it is not for talking. */
    readonly own: RealtimeSession | null;
    /** Something was said aloud in this session: from then on a server keeps the voice. */
    readonly hasSpoken: boolean;
    readonly entries: readonly Entry[];
    readonly timings: readonly Timing[];
    /** The newest, until it is dismissed or an answer that began after it is complete. */
    readonly problem: Problem | null;
    readonly isPersonSpeaking: boolean;
    /** Id of the response that is being made, if there is one. */
    readonly responding: string | null;
    /** Id of the response that the server plays, in a call. */
    readonly playing: string | null;
    readonly marks: Readonly<Record<string, Marks>>;
    /** When the connection broke that is to be taken up again. */
    readonly brokenAtMs: number | null;
}
/** When an answer's first sound came, and when it was heard. */
interface Marks {
    readonly cameMs: number | null;
    readonly audibleMs: number | null;
}
export type Happening = {
    readonly kind: 'message';
    readonly message: ServerMessage;
    readonly atMs: number;
} | {
    readonly kind: 'audible';
    readonly itemId: string;
    readonly atMs: number;
} | {
    readonly kind: 'played';
    readonly itemId: string;
    readonly playedMs: number;
} | {
    readonly kind: 'ended';
    readonly itemId: string;
} | {
    readonly kind: 'cut';
    readonly itemId: string;
    readonly playedMs: number;
} | {
    readonly kind: 'answered';
    readonly callId: string;
    readonly output: string;
    readonly ok: boolean;
    readonly atMs: number;
}
/** The person has read of the problem. */
 | {
    readonly kind: 'dismissed';
}
/** The connection broke, and may be taken up again. */
 | {
    readonly kind: 'broken';
    readonly atMs: number;
}
/** It is over, and with it the session. */
 | {
    readonly kind: 'disconnected';
} | {
    readonly kind: 'forgotten';
};
export declare const NOTHING: SessionState;
/** What there is after it happened. */
export declare function reduce(state: SessionState, happening: Happening): SessionState;
/** An answer's words: those that were heard, and those that were not, or not yet. */
export declare function heardAndNot(entry: AssistantEntry): {
    heard: string;
    rest: string;
};
/** How long the sound of a delta lasts, told from its base64. */
export declare function lengthMs(base64: string): number;
export {};
