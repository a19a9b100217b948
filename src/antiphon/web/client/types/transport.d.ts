/** What a connection to the server is, whichever way it goes. */
import type { ClientMessage, ServerMessage } from './messages';
import type { Return } from './resumption';
export type TransportKind = 'websocket' | 'webrtc';
export interface Transport {
    readonly kind: TransportKind;
    send(message: ClientMessage): void;
    /** Hang up. `onClosed` is not called for it. */
    close(): void;
}
export interface TransportEvents {
    onMessage(message: ServerMessage): void;
    /** The connection is gone, and not by our wish. */
    onClosed(closed: Closed): void;
}
export interface Closed {
    /** In words for a person. */
    readonly message: string;
    /** Whether trying again may help. */
    readonly mayReturn: boolean;
}
/** Where the server is and who asks. */
export interface Address {
    /** Such as "http://127.0.0.1:8765"; the page's own origin as a rule. */
    readonly origin: string;
    readonly key: string | null;
}
/** Why there is no connection, in words for a person. */
export declare class ConnectionError extends Error {
    /** 'warming': it will let us in soon. 'gone': the session that was to go on is over. */
    readonly code: 'away' | 'key' | 'refused' | 'busy' | 'warming' | 'unable' | 'gone';
    constructor(code: ConnectionError['code'], message: string);
    get mayReturn(): boolean;
}
/** What is asked of the server in an address: a session that may be taken up again, or the one to go on with. */
export declare function queryFor(back: Return | null): string;
export declare function gone(): ConnectionError;
/**
 * Ask the server whether it would take us: a browser is not told why a WebSocket was refused.
 * Throws `ConnectionError`.
 */
export declare function knock({ origin, key }: Address, signal?: AbortSignal): Promise<void>;
export declare function asked(url: string, init: RequestInit): Promise<Response>;
/** The words of an error in OpenAI's shape, or the status if it is in another. */
export declare function reasonOf(answer: Response): Promise<string>;
