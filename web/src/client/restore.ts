/** A conversation that outlived its connection, as items to give to a new session. Pure. */

import type { GivenItem } from './messages'
import { type Entry, heardAndNot } from './session'

const KEPT = 60 // entries: what came before them is left behind, as it would be in a model's context

/** What was said and heard, in order. What nobody heard is not part of a conversation. */
export function itemsOf(entries: readonly Entry[]): GivenItem[] {
  return entries.slice(-KEPT).flatMap(itemsOfEntry)
}

function itemsOfEntry(entry: Entry): GivenItem[] {
  switch (entry.kind) {
    case 'user':
      if (!entry.text.trim()) return []
      return [{ type: 'message', id: entry.id, role: 'user', content: [{ type: 'input_text', text: entry.text }] }]
    case 'assistant': {
      const { heard } = heardAndNot(entry)
      if (!heard.trim()) return []
      return [{ type: 'message', id: entry.id, role: 'assistant', content: [{ type: 'output_text', text: heard }] }]
    }
    case 'gap':
      return []
    case 'tool':
      // The server's own tools leave no item: their answers are in the words that followed.
      if (entry.place !== 'page' || entry.output === null) return []
      return [
        { type: 'function_call', call_id: entry.id, name: entry.name, arguments: entry.arguments },
        { type: 'function_call_output', call_id: entry.id, output: entry.output },
      ]
  }
}
