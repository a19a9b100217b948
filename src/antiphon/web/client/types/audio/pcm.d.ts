/** Sound as numbers: 16-bit little-endian on the wire, floats in [-1, 1] in the browser. */
/** The rate of all sound on the wire, in Hz. */
export declare const WIRE_RATE = 24000;
export declare function floatsFromBytes(bytes: Uint8Array): Float32Array;
/** Louder than full scale is clipped, not wrapped. */
export declare function bytesFromFloats(samples: Float32Array): ArrayBuffer;
export declare function bytesFromBase64(text: string): Uint8Array;
/** How loud, in dB of full scale; -100 for silence. */
export declare function loudness(samples: Float32Array): number;
