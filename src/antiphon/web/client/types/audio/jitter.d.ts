/**
 * How long to gather sound before playing it, from how unevenly it has come.
 *
 * Grows at once when pieces come late or the player ran dry, and shrinks slowly while all goes well. A TCP connection
 * loses nothing, so lateness is all there is to measure; and where the server says when it sent each piece, a slow model
 * or voice is not taken for a slow network. It knows neither samples nor sockets; times are in milliseconds, ours on any
 * one clock and the server's on any other.
 */
/** Bounds and starting point of the gathering time, in ms. */
export interface Profile {
    readonly name: 'good' | 'fair' | 'poor';
    readonly leastMs: number;
    readonly firstMs: number;
    readonly mostMs: number;
}
export declare const PROFILES: readonly Profile[];
export declare class JitterEstimate {
    #private;
    constructor(profile?: Profile);
    /** How much to gather before playing. */
    get targetMs(): number;
    get profile(): Profile;
    get underruns(): number;
    /** The lateness in ms that 95 of the last 100 pieces keep. */
    get jitterMs(): number;
    /**
     * A piece of sound came. `startMs` and `endMs` say where it lies in its utterance; `sentMs` is when the server sent it,
     * by its own clock, if it says so. A piece may come as late after the one before it as that one lasts, and as the
     * server itself waited; what is beyond is lateness.
     */
    arrive(nowMs: number, startMs: number, endMs: number, sentMs?: number | null): void;
    /** Whether the next piece would have been here at this time, had it been no longer on its way than those before. */
    wasDue(sentMs: number | null, atMs: number): boolean;
    /** Another server may follow, with another clock. */
    forgetClock(): void;
    /** The player had nothing to play in the middle of an utterance, for something came late. */
    ranDry(nowMs: number): void;
    /** A pause between two utterances: how long it lasts says nothing about the network. */
    rest(): void;
}
/** The nearest rank; 0 of nothing. */
export declare function percentile(values: readonly number[], share: number): number;
