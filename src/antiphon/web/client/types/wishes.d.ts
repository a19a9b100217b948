/** What a person wants of a session, and how one asks a server for it. Pure. */
import type { FunctionTool, SessionPatch } from './messages';
import { type SessionState } from './session';
export type Detection = {
    readonly kind: 'server_vad';
    readonly threshold: number;
    readonly silenceMs: number;
    readonly paddingMs: number;
    readonly interrupts: boolean;
} | {
    readonly kind: 'semantic_vad';
    readonly eagerness: 'auto' | 'low' | 'medium' | 'high';
    readonly interrupts: boolean;
}
/** The person says when a turn begins and ends: push-to-talk. */
 | {
    readonly kind: 'none';
};
export interface Wishes {
    /** Null leaves it to the server. */
    readonly voice: string | null;
    readonly speed: number;
    /** Null leaves them to the server. */
    readonly instructions: string | null;
    readonly detection: Detection;
    readonly tools: readonly FunctionTool[];
    /** Answers aloud, or in writing only. */
    readonly isSpoken: boolean;
}
export declare const USUAL: Wishes;
/** The whole of it, as a change of the session of which this is known: by default one of which nothing is, yet. */
export declare function patchFrom(wishes: Wishes, known?: Pick<SessionState, 'session' | 'own' | 'hasSpoken'>): SessionPatch;
export declare function nameOf(voice: string | {
    id: string;
}): string;
