/** Runs the functions that a client offers, and asks for the next answer when all of a response have returned. */

import type { ClientMessage, FunctionTool, ServerMessage } from './messages'

export interface PageTool {
  readonly tool: FunctionTool
  /** What it returns is given to the model as JSON. Without it, whoever shows the conversation answers the call. */
  readonly run?: (given: Record<string, unknown>) => Promise<unknown>
}

export class ToolCalls {
  tools: readonly PageTool[]
  readonly #send: (message: ClientMessage) => void
  readonly #onAnswer: (callId: string, output: string, ok: boolean) => void
  /** Calls of each response that are not answered yet; a response stays here until it is done and all are. */
  readonly #open = new Map<string, { calls: Set<string>; isDone: boolean }>()

  constructor(
    tools: readonly PageTool[], send: (message: ClientMessage) => void,
    onAnswer: (callId: string, output: string, ok: boolean) => void,
  ) {
    this.tools = tools
    this.#send = send
    this.#onAnswer = onAnswer
  }

  take(message: ServerMessage): void {
    if (message.type === 'response.output_item.done' && message.item.type === 'function_call') {
      const call = message.item
      if (call.status === 'completed' && call.call_id) {
        this.#begin(message.response_id, call.call_id, call.name, call.arguments)
      }
    } else if (message.type === 'response.done') {
      const open = this.#open.get(message.response.id)
      if (open) open.isDone = true
      this.#continue(message.response.id)
    }
  }

  /** The result of a call. Calls that nobody waits for are ignored. */
  answer(callId: string, output: string, ok = true): void {
    for (const [response, open] of this.#open) {
      if (!open.calls.delete(callId)) continue
      this.#send({ type: 'conversation.item.create', item: { type: 'function_call_output', call_id: callId, output } })
      this.#onAnswer(callId, output, ok)
      this.#continue(response)
      return
    }
  }

  /** The connection is gone, and with it whoever waited. */
  forget(): void {
    this.#open.clear()
  }

  #begin(response: string, callId: string, name: string, given: string): void {
    const open = this.#open.get(response) ?? { calls: new Set<string>(), isDone: false }
    open.calls.add(callId)
    this.#open.set(response, open)
    const found = this.tools.find((one) => one.tool.name === name)
    if (found?.run) void this.#run(found.run, callId, given)
  }

  async #run(run: (given: Record<string, unknown>) => Promise<unknown>, callId: string, given: string): Promise<void> {
    try {
      const result = await run(JSON.parse(given || '{}') as Record<string, unknown>)
      this.answer(callId, JSON.stringify(result ?? null))
    } catch (error) {
      this.answer(callId, JSON.stringify({ error: error instanceof Error ? error.message : String(error) }), false)
    }
  }

  #continue(response: string): void {
    const open = this.#open.get(response)
    if (!open || !open.isDone || open.calls.size > 0) return
    this.#open.delete(response)
    this.#send({ type: 'response.create' })
  }
}
