/** What a person has set, kept in this browser. A key is kept for this tab only. */

import { type FunctionTool, type TransportKind, USUAL, type Wishes } from '../client'

export type Theme = 'auto' | 'light' | 'dark'

export interface Choices {
  readonly wishes: Wishes
  readonly transport: TransportKind
  readonly microphoneId: string | null
  /** That captions are of; empty: the recogniser decides. */
  readonly captionLanguage: string
  readonly theme: Theme
  /** How long an answer may take to begin, in ms. */
  readonly budgetMs: number
  /** Names of the page's own functions that are offered to the model. */
  readonly offered: readonly string[]
  /** Functions that the person has written down, and answers by hand. */
  readonly ownTools: readonly FunctionTool[]
}

const NAME = 'antiphon.choices.1'
const KEY_NAME = 'antiphon.key'

export const FIRST: Choices = {
  wishes: USUAL, transport: 'websocket', microphoneId: null, captionLanguage: '', theme: 'auto', budgetMs: 800, offered: [], ownTools: [],
}

export function loaded(): Choices {
  try {
    const kept = JSON.parse(localStorage.getItem(NAME) ?? '{}') as Partial<Choices>
    return { ...FIRST, ...kept, wishes: { ...USUAL, ...kept.wishes } }
  } catch {
    return FIRST
  }
}

export function keep(choices: Choices): void {
  try {
    localStorage.setItem(NAME, JSON.stringify(choices))
  } catch {
    // A browser that keeps nothing: the choices hold until the page is left.
  }
}

export function keptKey(): string | null {
  try {
    return sessionStorage.getItem(KEY_NAME)
  } catch {
    return null
  }
}

export function keepKey(key: string | null): void {
  try {
    if (key) sessionStorage.setItem(KEY_NAME, key)
    else sessionStorage.removeItem(KEY_NAME)
  } catch {
    // As above.
  }
}
