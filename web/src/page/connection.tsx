/** How good the connection is, in figures and in words, and what would help. */

import { type ConversationState, type Quality, type TransportKind, judged } from '../client'
import { ms } from './timing'

const GRADES = { good: 'Good', fair: 'Fair', poor: 'Poor', unknown: 'Not measured' }

export function ConnectionPanel({ state, transport }: { state: ConversationState; transport: TransportKind }) {
  const { quality, playback } = state
  const { grade, advice } = judged(quality)
  return (
    <>
      <p class="verdict" data-grade={grade}>
        <b>{GRADES[grade]}</b> {advice}
      </p>
      <table class="facts">
        <caption class="unseen">What is measured</caption>
        <tbody>
          <Fact name="Way" value={quality?.path || (transport === 'webrtc' ? 'WebRTC' : 'WebSocket (TCP)')} />
          <Fact name="Round trip" value={inMs(quality, 'roundTripMs')} note={transport === 'websocket' ? 'of a small request to the server' : 'as the selected pair measures it'} />
          <Fact name="Jitter" value={inMs(quality, 'jitterMs')} note={transport === 'websocket' ? 'lateness that 95 of 100 pieces of sound keep' : 'of the packets that come'} />
          {transport === 'webrtc' && <Fact name="Lost" value={inPercent(quality?.lost)} note="since the last look, two seconds ago" />}
          {transport === 'webrtc' && <Fact name="Invented" value={inPercent(quality?.concealed)} note="sound that the browser had to make up" />}
          <Fact
            name="Held back" value={inMs(quality, 'bufferMs')}
            note={transport === 'websocket' ? 'gathered before an answer is played' : "in the browser's jitter buffer"}
          />
          {transport === 'websocket' && playback && (
            <>
              <Fact name="Waiting" value={ms(playback.waitingMs)} note="sound that has come and is not played yet" />
              <Fact name="Ran dry" value={String(playback.underruns)} note="times that an answer stuttered" />
              <Fact name="Profile" value={playback.profile} note="how much the player may gather" />
            </>
          )}
        </tbody>
      </table>
    </>
  )
}

function Fact({ name, value, note }: { name: string; value: string; note?: string }) {
  return (
    <tr>
      <th scope="row">{name}{note && <small>{note}</small>}</th>
      <td class="value">{value}</td>
    </tr>
  )
}

function inMs(quality: Quality | null, name: 'roundTripMs' | 'jitterMs' | 'bufferMs'): string {
  const value = quality?.[name]
  return value == null ? '–' : ms(value)
}

function inPercent(share: number | null | undefined): string {
  return share == null ? '–' : `${(100 * share).toFixed(1)} %`
}
