/** The Realtime protocol over WebRTC: messages on a data channel, sound on a track each way, played by the browser. */
import type { ClientMessage } from './messages';
import type { Return } from './resumption';
import { type Address, type Transport, type TransportEvents } from './transport';
export declare class CallTransport implements Transport {
    #private;
    readonly kind = "webrtc";
    readonly peer: RTCPeerConnection;
    private constructor();
    /**
     * Call the server, to go on with a session if it says which. Its voice goes to `output`; `microphone` may be null,
     * for a person who types. Throws `ConnectionError`.
     */
    static open(address: Address, microphone: MediaStreamTrack | null, output: HTMLAudioElement, events: TransportEvents, back?: Return | null, signal?: AbortSignal): Promise<CallTransport>;
    send(message: ClientMessage): void;
    /** Speak through another microphone from now on, or through none. */
    use(microphone: MediaStreamTrack | null): Promise<void>;
    /** Fall silent now: what is on its way, and in the browser's own buffer, would be heard for another 100 ms. */
    hush(): void;
    /** What comes from here on is to be heard again. */
    unhush(): void;
    /** When sound from the server is heard next, on `performance`'s clock; null if none is within two seconds. */
    audible(): Promise<number | null>;
    close(): void;
}
