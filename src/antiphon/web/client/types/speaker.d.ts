/** The loudspeaker for sound that comes over a WebSocket. It does not know conversations: a track is a name. */
import type { PlaybackState } from './audio/playback.worklet';
import type { Cut } from './audio/playout';
export type { PlaybackState } from './audio/playback.worklet';
export interface SpeakerEvents {
    /** The first sound of a track is heard now, or in a few milliseconds. */
    onAudible(track: string): void;
    /** How far the current track has been heard: several times a second while one plays. */
    onPlayed(track: string, playedMs: number): void;
    /** A track was heard to its end. */
    onEnded(track: string): void;
    onState(state: PlaybackState): void;
}
export declare class Speaker {
    #private;
    private constructor();
    static open(context: AudioContext, events: SpeakerEvents): Promise<Speaker>;
    /**
     * Play this after what was given before. 16-bit mono at 24 kHz, as base64; `sentMs` is when it was sent, in ms by the
     * server's clock, or null.
     */
    play(track: string, base64: string, sentMs: number | null): void;
    /** No more of this track will come. */
    complete(track: string): void;
    /** Fall silent now. Returns how far each track was heard that was not played to its end. */
    flush(): Promise<readonly Cut[]>;
    close(): void;
}
