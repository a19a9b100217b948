/**
 * A call of a tool as the messages tell it: asked about, running, over. Pure, like `session`, whose entries these are.
 *
 * One entry for each call, whoever runs it: this page, the server, or an MCP server that a client named. It does not know
 * what else there is in a conversation.
 */
import type { Item, ServerMessage } from './messages';
export interface ToolEntry {
    readonly kind: 'tool';
    /** The call's id; of a call of a client's MCP server, its item's. */
    readonly id: string;
    readonly responseId: string;
    readonly name: string;
    readonly arguments: string;
    readonly output: string | null;
    /** How far it is, in its own words. */
    readonly progress: string;
    readonly ok: boolean;
    readonly place: 'server' | 'page' | 'mcp';
    readonly beganMs: number;
    readonly endedMs: number | null;
    /** How long it took by the server's own clock, once the server has said so. */
    readonly tookMs: number | null;
    /** Null: nobody has to be asked. */
    readonly permission: Permission | null;
}
/** What the person says to a call that runs only if they allow it. */
export interface Permission {
    readonly state: 'asked' | 'allowed' | 'refused' | 'expired';
    /** Until when it can be answered; null if the server has not said. */
    readonly untilMs: number | null;
    /** Of an MCP server's call: the id of the request that is answered. */
    readonly requestId: string | null;
}
type Beginning = Pick<ToolEntry, 'id' | 'responseId' | 'name' | 'arguments' | 'place' | 'beganMs'>;
export declare function called(beginning: Beginning): ToolEntry;
/** The call that this message is about, as it is now; null if it is about none. */
export declare function toldOfCall(message: ServerMessage, known: (id: string) => ToolEntry | undefined, atMs: number): ToolEntry | null;
/** What an item says of a call of a client's MCP server; null if it is not about one. */
export declare function toldOfMcp(item: Item, entries: readonly {
    kind: string;
}[], responseId: string, atMs: number): ToolEntry | null;
export {};
