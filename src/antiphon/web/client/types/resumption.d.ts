/** What it takes to go on with a session whose connection broke: who we are to it, and what it has not heard. Pure. */
import type { ServerMessage } from './messages';
/** How to be let in again. */
export interface Return {
    readonly token: string;
    /** Id of the last message that came. */
    readonly after: string;
}
export declare class Resumption {
    #private;
    readonly sent: SentSound;
    take(message: ServerMessage): void;
    /** The connection broke. While it is not back, calling this again changes nothing. */
    broke(nowMs: number): void;
    /** Null: there is nothing to go on with, or not any more. */
    wayBack(nowMs: number): Return | null;
}
/** The microphone's sound as the server counts it, so that one can say again what was lost on the way. */
export declare class SentSound {
    #private;
    /** 16-bit mono at 24 kHz. */
    keep(pcm: ArrayBuffer): void;
    /**
     * What lies behind the first `heardMs` that were sent, as far as it is kept. The server goes on counting from there,
     * and so do we.
     */
    since(heardMs: number): readonly ArrayBuffer[];
}
