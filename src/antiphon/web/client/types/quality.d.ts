/** How good a connection is, from what a browser measures, and what one could do about it. Pure but for the asking. */
export interface Quality {
    readonly roundTripMs: number | null;
    readonly jitterMs: number | null;
    /** Of the packets that came or should have come since the last look, in [0, 1]; null where nothing is ever lost. */
    readonly lost: number | null;
    /** Of the sound since the last look, how much the browser had to invent, in [0, 1]. */
    readonly concealed: number | null;
    /** How long sound waits in the browser before it is played. */
    readonly bufferMs: number | null;
    readonly path: string;
}
export interface Verdict {
    readonly grade: 'good' | 'fair' | 'poor' | 'unknown';
    readonly advice: string;
}
export declare function judged(quality: Quality | null): Verdict;
/** What a peer connection has counted since it began. */
export interface Counters {
    readonly received: number;
    readonly lost: number;
    readonly samples: number;
    readonly concealed: number;
    readonly bufferedS: number;
    readonly emitted: number;
    readonly jitterS: number | null;
    readonly roundTripS: number | null;
    readonly path: string;
}
export declare const NO_COUNTERS: Counters;
/** What happened between two looks: counters only ever grow, so one look alone says nothing about now. */
export declare function between(before: Counters, after: Counters): Quality;
/** Read the counters of the audio that comes, and of the pair of addresses that is in use. */
export declare function counters(report: RTCStatsReport): Counters;
