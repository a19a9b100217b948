/**
 * What is to be played, in order, and how far it has got. The player's worklet pulls from it 375 times a second.
 *
 * Sound belongs to a *track*, one for each spoken item of the conversation. It does not know the conversation, nor the
 * device; times come with each call, in ms on any one clock.
 */
import { JitterEstimate } from './jitter';
export type PlayoutNews = {
    readonly kind: 'began';
    readonly track: string;
} | {
    readonly kind: 'ended';
    readonly track: string;
    readonly playedMs: number;
};
/** A track that was thrown away, and how much of it had been played. */
export interface Cut {
    readonly track: string;
    readonly playedMs: number;
}
export declare class Playout {
    #private;
    readonly jitter: JitterEstimate;
    /** `rate` is that of the samples, in Hz. */
    constructor(rate: number, jitter?: JitterEstimate);
    /**
     * More of a track's sound; `lengthMs` is its length on the wire, and `sentMs` when the server sent it, by its clock. A
     * player that ran dry before the server had sent anything has waited for the server, and not for the network.
     */
    push(track: string, samples: Float32Array, lengthMs: number, nowMs: number, sentMs?: number | null): void;
    /** No more of this track will come. */
    complete(track: string): void;
    /** Fill `output` and tell what happened in it. */
    pull(output: Float32Array, nowMs: number): PlayoutNews[];
    /** Throw away all that waits. Returns how far each track got that was not played to its end. */
    flush(): Cut[];
    /** The track that is being played, or waits to be. */
    get position(): Cut | null;
    get waitingMs(): number;
}
