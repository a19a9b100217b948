/** Which voices a server has. */

import { type Address, asked } from './transport'

/** Their names, in the server's order; none if it does not say. Throws `ConnectionError` if it is away. */
export async function voices({ origin, key }: Address, signal?: AbortSignal): Promise<readonly string[]> {
  const headers: Record<string, string> = key ? { Authorization: `Bearer ${key}` } : {}
  const answer = await asked(`${origin}/v1/audio/voices`, { headers, signal: signal ?? null })
  if (!answer.ok) return []
  const { voices } = (await answer.json()) as { voices: readonly { id: string }[] }
  return voices.map((voice) => voice.id)
}
