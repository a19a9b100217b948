/** How a person gets a word in: by voice, held or hands-free, or by typing. */

import { useEffect, useRef, useState } from 'preact/hooks'

import type { Conversation, ConversationState } from '../client'

interface Props {
  state: ConversationState
  isHandsFree: boolean
  level: { current: (dbfs: number) => void }
  conversation: Conversation
}

export function Composer({ state, isHandsFree, level, conversation }: Props) {
  const [text, setText] = useState('')
  const isConnected = state.link.state === 'connected'
  const isComing = state.link.state === 'connecting' || state.link.state === 'waiting'
  const isBusy = state.session.responding !== null || state.session.playing !== null || state.playback?.track != null
  const send = (event: Event) => {
    event.preventDefault()
    if (!text.trim() || !isConnected) return
    conversation.write(text.trim())
    setText('')
  }
  return (
    <form class="composer" onSubmit={send}>
      <MicrophoneButton {...{ state, isHandsFree, level, conversation }} />
      <input
        class="typed" aria-label="Type instead of speaking" value={text} disabled={!isConnected}
        placeholder={isConnected ? 'Type instead' : isComing ? 'Connecting…' : 'Connect to begin'} autocomplete="off"
        onInput={(event) => setText(event.currentTarget.value)}
      />
      {isBusy ? (
        <button type="button" class="button" onClick={() => conversation.interrupt()} title="Escape">Stop</button>
      ) : (
        <button class="button" disabled={!isConnected || !text.trim()}>Send</button>
      )}
    </form>
  )
}

function MicrophoneButton({ state, isHandsFree, level, conversation }: Props) {
  const ring = useRef<HTMLSpanElement>(null)
  const isOn = state.microphone.state === 'on' && state.link.state === 'connected'
  const isHeard = isOn && (isHandsFree ? !state.isMuted : state.isPressed)
  useEffect(() => {
    level.current = (dbfs) => ring.current?.style.setProperty('--level', String(share(dbfs)))
    return () => {
      level.current = () => undefined
    }
  }, [])
  const common = {
    type: 'button' as const, class: 'microphone', disabled: !isOn, 'data-heard': isHeard,
  }
  const picture = (
    <>
      <span class="ring" ref={ring} aria-hidden="true" />
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <rect x="9" y="3" width="6" height="11" rx="3" />
        <path d="M6 11a6 6 0 0 0 12 0M12 17v4" fill="none" stroke-width="1.8" stroke-linecap="round" />
        {isOn && !isHeard && isHandsFree && <path d="M4 4l16 16" stroke-width="2" stroke-linecap="round" />}
      </svg>
    </>
  )
  if (isHandsFree) {
    const words = !isOn ? 'Microphone' : state.isMuted ? 'Unmute (M)' : 'Mute (M)'
    return (
      <button {...common} aria-pressed={state.isMuted} aria-label={words} title={words} onClick={() => conversation.mute(!state.isMuted)}>
        {picture}
      </button>
    )
  }
  const press = () => conversation.press()
  const release = () => conversation.release()
  return (
    <button
      {...common} aria-label="Hold to speak (Space)" title="Hold to speak (Space)" aria-pressed={state.isPressed}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId)
        press()
      }}
      onPointerUp={release} onPointerCancel={release}
      onKeyDown={(event) => {
        if ((event.key === ' ' || event.key === 'Enter') && !event.repeat) {
          event.preventDefault()
          press()
        }
      }}
      onKeyUp={(event) => {
        if (event.key === ' ' || event.key === 'Enter') release()
      }}
    >
      {picture}
    </button>
  )
}

/** How far the ring is filled: from a quiet room at -55 dB to a loud voice at -10. */
function share(dbfs: number): number {
  return Math.min(1, Math.max(0, (dbfs + 55) / 45))
}
