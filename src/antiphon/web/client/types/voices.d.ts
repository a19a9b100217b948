/** Which voices a server has. */
import { type Address } from './transport';
/** Their names, in the server's order; none if it does not say. Throws `ConnectionError` if it is away. */
export declare function voices({ origin, key }: Address, signal?: AbortSignal): Promise<readonly string[]>;
