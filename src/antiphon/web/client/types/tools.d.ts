/** Runs the functions that a client offers, and asks for the next answer when all of a response have returned. */
import type { ClientMessage, FunctionTool, ServerMessage } from './messages';
export interface PageTool {
    readonly tool: FunctionTool;
    /** What it returns is given to the model as JSON. Without it, whoever shows the conversation answers the call. */
    readonly run?: (given: Record<string, unknown>) => Promise<unknown>;
}
export declare class ToolCalls {
    #private;
    tools: readonly PageTool[];
    constructor(tools: readonly PageTool[], send: (message: ClientMessage) => void, onAnswer: (callId: string, output: string, ok: boolean) => void);
    take(message: ServerMessage): void;
    /** The result of a call. Calls that nobody waits for are ignored. */
    answer(callId: string, output: string, ok?: boolean): void;
    /** The connection is gone, and with it whoever waited. */
    forget(): void;
}
