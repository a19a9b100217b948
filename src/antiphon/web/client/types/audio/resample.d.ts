/**
 * A stream of sound from one sample rate to another, with less than a millisecond of delay.
 *
 * A windowed sinc, one set of weights for each of the positions that an output sample can have between two input
 * samples. It does not know where the sound comes from, and runs in a worklet as well as in a test.
 */
export declare class Resampler {
    #private;
    /** Rates in Hz, whole numbers. */
    constructor(from: number, to: number);
    /** The samples that can be told from what has come so far. They are new: the caller may keep them. */
    process(input: Float32Array): Float32Array;
}
