/** What a person wants of a session, and how one asks a server for it. Pure. */

import type { FunctionTool, SessionPatch } from './messages'
import { NOTHING, type SessionState } from './session'

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

/** The whole of it, as a change of the session of which this is known: by default one of which nothing is, yet. */
export function patchFrom(wishes: Wishes, known: Pick<SessionState, 'session' | 'own' | 'hasSpoken'> = NOTHING): SessionPatch {
  const instructions = wishes.instructions ?? known.own?.instructions
  const voice = voiceFor(wishes, known)
  return {
    type: 'realtime',
    ...(instructions === undefined ? {} : { instructions }),
    output_modalities: [wishes.isSpoken ? 'audio' : 'text'],
    tools: wishes.tools,
    audio: {
      input: { transcription: {}, turn_detection: detectionFrom(wishes.detection) },
      output: { ...(voice === null ? {} : { voice }), speed: wishes.speed },
    },
  }
}

/** The voice to ask for; null if there is nothing to change, or no server would change it any more. */
function voiceFor(wishes: Wishes, { session, own, hasSpoken }: Pick<SessionState, 'session' | 'own' | 'hasSpoken'>): string | null {
  if (own === null || session?.type !== 'realtime') return wishes.voice
  const wanted = wishes.voice ?? nameOf(own.audio.output.voice)
  return hasSpoken || wanted === nameOf(session.audio.output.voice) ? null : wanted
}

export function nameOf(voice: string | { id: string }): string {
  return typeof voice === 'string' ? voice : voice.id
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
