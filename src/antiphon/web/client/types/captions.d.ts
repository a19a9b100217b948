/** Words on the screen while somebody speaks, by `/ws/transcribe`: the browser's own recorder in, lines of text out. */
import { type Address } from './transport';
/** One utterance. */
export interface CaptionLine {
    readonly id: number;
    /** Seconds from the beginning. */
    readonly start: number;
    /** Never taken back while the utterance goes on. */
    readonly stable: string;
    /** May change; empty once the utterance is over. */
    readonly tail: string;
    readonly isOver: boolean;
}
export interface CaptionState {
    readonly state: 'off' | 'starting' | 'listening' | 'ending';
    readonly lines: readonly CaptionLine[];
    readonly problem: string | null;
}
export type CaptionMessage = {
    type: 'transcription';
    partial: boolean;
    id: number;
    text: string;
    start: number;
    stable?: string;
    tail?: string;
} | {
    type: 'error';
    code: string;
    message: string;
    hint: string;
} | {
    type: 'ready' | 'final' | 'cleared' | 'pong' | 'language';
};
export declare const NO_CAPTIONS: CaptionState;
/** What a message changes. A line of which nothing was intelligible goes. */
export declare function captioned(state: CaptionState, message: CaptionMessage): CaptionState;
/** One person's captions, on and off. */
export declare class LiveCaptions {
    #private;
    state: CaptionState;
    constructor(show: (state: CaptionState) => void);
    /** Ask for the microphone and listen until `stop`, for this language, or for any. What is wrong is told in the state. */
    start(address: Address, deviceId: string | null, language?: string | null): Promise<void>;
    /** What will be said is in this language, by its code or English name; null lets the recogniser decide. */
    expect(language: string | null): void;
    /** Say that this was all; the last words still come. */
    stop(): void;
    /** Leave everything at once. */
    close(): void;
}
