/**
 * The microphone that a conversation hears by: asked for, lost, and found again.
 *
 * What it has to say about itself is one state. It does not know where the sound goes, nor what a turn is.
 */
import { type Device, type Frame, type MicrophoneFault } from './microphone';
export interface MicrophoneState {
    readonly state: 'off' | 'asking' | 'on' | 'fault';
    readonly fault: MicrophoneFault | null;
    readonly message: string;
    readonly deviceId: string | null;
    /** What could be spoken through in its place, if it is gone. */
    readonly others: readonly Device[];
}
export interface HearingEvents {
    onState(state: MicrophoneState): void;
    onFrame(frame: Frame): void;
    /** Another microphone is spoken through from now on, or none. */
    onTrack(track: MediaStreamTrack | null): void;
    /** It was unplugged or taken back, perhaps in mid-sentence. */
    onLost(): void;
}
export declare const OFF: MicrophoneState;
export declare class Hearing {
    #private;
    constructor(context: AudioContext, events: HearingEvents);
    get track(): MediaStreamTrack | null;
    /** Hear by this microphone from now on; null is the browser's usual. What goes wrong is in the state. */
    open(deviceId: string | null): Promise<void>;
    close(): void;
    /** Whether there is to be sound; else there is silence, for a turn that has begun would never end without any. */
    hear(isHeard: boolean): void;
}
