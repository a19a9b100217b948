/** The messages of both directions, as the server's own structs define them. */
export type { Error as ErrorMessage, RealtimeSession, ResponseDone, ServerMessage, Stage, Timeline, ToolSpan } from './received';
export type { ClientMessage, FunctionTool, SessionPatch } from './sent';
import type { ItemAdded, SessionCreated } from './received';
import type { ItemCreate } from './sent';
export type Item = ItemAdded['item'];
export type Session = SessionCreated['session'];
export type GivenItem = ItemCreate['item'];
