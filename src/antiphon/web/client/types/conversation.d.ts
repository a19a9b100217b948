/**
 * One conversation with a server: transport, microphone, loudspeaker and state, and what joins them.
 *
 * It draws nothing. Whoever does is told of every new state, and of the microphone's level apart from it, for that one
 * changes fifty times a second. It outlives its connection: after a drop it takes the session up again, and where that is
 * over, it tells a new one what had been said.
 */
import { type MicrophoneState } from './hearing';
import { type Quality } from './quality';
import { type SessionState } from './session';
import { type PlaybackState } from './speaker';
import { type PageTool } from './tools';
import { type Address, ConnectionError, type TransportKind } from './transport';
import { type Wishes } from './wishes';
export type Link = {
    readonly state: 'idle';
} | {
    readonly state: 'connecting';
} | {
    readonly state: 'connected';
}
/** It was lost, or the server is not ready yet, and will be tried again. */
 | {
    readonly state: 'waiting';
    readonly message: string;
    readonly retryAtMs: number;
} | {
    readonly state: 'failed';
    readonly message: string;
    readonly code: ConnectionError['code'] | 'ended';
};
export interface ConversationState {
    readonly session: SessionState;
    readonly link: Link;
    readonly microphone: MicrophoneState;
    readonly isMuted: boolean;
    /** Push-to-talk is held down. */
    readonly isPressed: boolean;
    readonly playback: PlaybackState | null;
    readonly quality: Quality | null;
    /** The browser lets nothing sound, nor be heard: it wants a click, or has no loudspeaker. */
    readonly isHeldBack: boolean;
}
export interface ConversationEvents {
    onState(state: ConversationState): void;
    /** Fifty times a second, in dB of full scale. */
    onLevel?(dbfs: number): void;
}
export declare class Conversation {
    #private;
    constructor(address: Address, kind: TransportKind, tools: readonly PageTool[], events: ConversationEvents);
    get state(): ConversationState;
    /** Connect, by a click: browsers let a page sound only then. What goes wrong is in the state. */
    connect(address?: Address, kind?: TransportKind): Promise<void>;
    /** Hang up. What was said stays to be read, and the next connection goes on from it. */
    disconnect(): void;
    /** Let sound be heard again that the browser holds back, by a click. */
    unhold(): Promise<void>;
    /** Forget what was said. While connected, a new session begins. */
    restart(): Promise<void>;
    /** Take these from now on; at once if there is a session. */
    want(wishes: Wishes): void;
    /** The functions that this page runs; `Wishes.tools` says which are offered. */
    offer(tools: readonly PageTool[]): void;
    /** Write instead of speaking. */
    write(text: string): void;
    /** Stop the answer that is being made or played. */
    interrupt(): void;
    /** The person has read of the problem. */
    dismiss(): void;
    mute(isMuted: boolean): void;
    /** Push-to-talk: from here on the microphone is heard. */
    press(): void;
    /** Push-to-talk: that was it, and an answer is wanted; unless it was so short that nobody can have said anything. */
    release(): void;
    /** Speak through this microphone; null is the browser's usual. */
    choose(deviceId: string | null): Promise<void>;
    /** Say whether a call may run that waits for it. What waits for nothing is ignored. */
    allow(callId: string, isAllowed: boolean): void;
    /** End a call of one of the server's own tools. */
    stopTool(callId: string): void;
    /** Give the result of a call that no function of this page answers. */
    answer(callId: string, output: string): void;
}
