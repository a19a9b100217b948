/** A conversation that outlived its connection, as items to give to a new session. Pure. */
import type { GivenItem } from './messages';
import { type Entry } from './session';
/** What was said and heard, in order. What nobody heard is not part of a conversation. */
export declare function itemsOf(entries: readonly Entry[]): GivenItem[];
