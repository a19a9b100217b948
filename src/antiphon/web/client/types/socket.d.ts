/** The Realtime protocol over a WebSocket: messages as text, the microphone's sound as binary frames. */
import type { ClientMessage } from './messages';
import type { Return } from './resumption';
import { type Address, type Transport, type TransportEvents } from './transport';
export declare class SocketTransport implements Transport {
    #private;
    readonly kind = "websocket";
    /** Frames of sound that were not sent because the network did not take them. */
    dropped: number;
    private constructor();
    /** Connect, to go on with a session if it says which. Throws `ConnectionError`. */
    static open(address: Address, events: TransportEvents, back?: Return | null, signal?: AbortSignal): Promise<SocketTransport>;
    send(message: ClientMessage): void;
    /** 16-bit mono at 24 kHz. Sound that could not leave in time is dropped: false. */
    sendSound(pcm: ArrayBuffer): boolean;
    /** Sound that is known to be late, and wanted all the same. */
    sendLate(frames: readonly ArrayBuffer[]): void;
    close(): void;
    /** Let go of a connection on which nothing comes any more, without hanging up. */
    abandon(): void;
}
/** A socket that is open. Throws `ConnectionError`. */
export declare function opened(url: string, protocols: string[], signal?: AbortSignal): Promise<WebSocket>;
