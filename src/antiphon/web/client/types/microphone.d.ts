/** A person's microphone: asked for, chosen, and turned into 20 ms frames. It does not know where the sound goes. */
export interface Frame {
    /** 16-bit mono at 24 kHz, 20 ms. */
    readonly pcm: ArrayBuffer;
    /** How loud it is, in dB of full scale. */
    readonly dbfs: number;
}
export type MicrophoneFault = 'refused' | 'missing' | 'busy' | 'insecure' | 'lost';
export interface Device {
    readonly id: string;
    readonly name: string;
}
export declare class MicrophoneError extends Error {
    readonly fault: MicrophoneFault;
    constructor(fault: MicrophoneFault);
}
export declare class Microphone {
    #private;
    readonly stream: MediaStream;
    private constructor();
    /**
     * Ask for a microphone, this one or the browser's usual. `onLost` is called when it is unplugged or taken back.
     * Throws `MicrophoneError`.
     */
    static open(context: AudioContext, deviceId: string | null, onFrame: (frame: Frame) => void, onLost: () => void): Promise<Microphone>;
    get deviceId(): string | null;
    close(): void;
}
/** Microphones that one can choose from; their names are only told once one was allowed. */
export declare function microphones(): Promise<Device[]>;
/** Those of them that stand for no other: browsers have names such as "default" beside the devices' own. */
export declare function devicesOf(found: readonly Device[]): readonly Device[];
/** Be told when a microphone is plugged in or out. Returns what ends it. */
export declare function watchMicrophones(onChange: () => void): () => void;
/** The stream of this microphone, or of the browser's usual. Throws `MicrophoneError`. */
export declare function askedFor(deviceId: string | null): Promise<MediaStream>;
