/** The loudspeaker's side of the audio thread: 24 kHz sound in, when it comes; the device's rate out, steadily. */
import { type Cut, type PlayoutNews } from './playout';
export type PlaybackOrder = {
    readonly kind: 'sound';
    readonly track: string;
    readonly samples: Float32Array;
    readonly sentMs: number | null;
} | {
    readonly kind: 'complete';
    readonly track: string;
} | {
    readonly kind: 'flush';
};
export interface PlaybackState {
    readonly track: string | null;
    readonly playedMs: number;
    readonly waitingMs: number;
    readonly targetMs: number;
    readonly jitterMs: number;
    readonly underruns: number;
    readonly profile: string;
}
export type PlaybackNews = PlayoutNews | {
    readonly kind: 'flushed';
    readonly cuts: readonly Cut[];
} | {
    readonly kind: 'state';
    readonly state: PlaybackState;
};
