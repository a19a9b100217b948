/** What a person wants of a session, and how one asks a server for it. Pure. */

import type { FunctionTool, SessionPatch } from './messages'

export type Detection =
  | {
      readonly kind: 'server_vad'
      readonly threshold: number
      readonly silenceMs: number
      readonly paddingMs: number
      readonly interrupts: boolean
    }
  | { readonly kind: 'semantic_vad'; readonly eagerness: 'auto' | 'low' | 'medium' | 'high'; readonly interrupts: boolean }
  /** The person says when a turn begins and ends: push-to-talk. */
  | { readonly kind: 'none' }

export interface Wishes {
  /** Null leaves it to the server. */
  readonly voice: string | null
  readonly speed: number
  /** Null leaves them to the server. */
  readonly instructions: string | null
  readonly detection: Detection
  readonly tools: readonly FunctionTool[]
  /** Answers aloud, or in writing only. */
  readonly isSpoken: boolean
}

export const USUAL: Wishes = {
  voice: null,
  speed: 1,
  instructions: null,
  detection: { kind: 'server_vad', threshold: 0.5, silenceMs: 500, paddingMs: 300, interrupts: true },
  tools: [],
  isSpoken: true,
}

/** The whole of it, as a change of the session. */
export function patchFrom(wishes: Wishes): SessionPatch {
  return {
    type: 'realtime',
    ...(wishes.instructions === null ? {} : { instructions: wishes.instructions }),
    output_modalities: [wishes.isSpoken ? 'audio' : 'text'],
    tools: wishes.tools,
    audio: {
      input: { transcription: {}, turn_detection: detectionFrom(wishes.detection) },
      output: { ...(wishes.voice === null ? {} : { voice: wishes.voice }), speed: wishes.speed },
    },
  }
}

type WireDetection = NonNullable<NonNullable<NonNullable<SessionPatch['audio']>['input']>['turn_detection']>

function detectionFrom(detection: Detection): WireDetection | null {
  switch (detection.kind) {
    case 'none':
      return null
    case 'semantic_vad':
      return { type: 'semantic_vad', eagerness: detection.eagerness, interrupt_response: detection.interrupts }
    case 'server_vad':
      return {
        type: 'server_vad', threshold: detection.threshold, silence_duration_ms: detection.silenceMs,
        prefix_padding_ms: detection.paddingMs, interrupt_response: detection.interrupts,
      }
  }
}
