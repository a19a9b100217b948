/** What stands between a person and a conversation, in plain words, with the button that helps. */

import { useEffect, useState } from 'preact/hooks'

import type { ConversationState } from '../client'

const MOST_OFFERED = 3 // microphones: the settings have them all

interface Props {
  state: ConversationState
  hasKey: boolean
  onConnect: () => void
  onStop: () => void
  onKey: (key: string) => void
  onSound: () => void
  onMicrophone: (deviceId: string | null) => void
}

export function Banner({ state, onConnect, onStop, onKey, onSound, onMicrophone }: Props) {
  const { link, microphone, isHeldBack } = state
  return (
    <div class="banners">
      {link.state === 'waiting' && (
        <div class="banner warn" role="alert">
          <p>
            <b>{link.message}</b> {state.session.session && 'What was said is kept. '}<Countdown untilMs={link.retryAtMs} />
          </p>
          <button class="button" onClick={onConnect}>Try now</button>
          <button class="button" onClick={onStop}>Stop trying</button>
        </div>
      )}
      {link.state === 'failed' && link.code !== 'key' && (
        <div class="banner bad" role="alert">
          <p>{link.message}</p>
          <button class="button" onClick={onConnect}>Try again</button>
        </div>
      )}
      {link.state === 'failed' && link.code === 'key' && <KeyForm message={link.message} onKey={onKey} />}
      {isHeldBack && (
        <div class="banner warn" role="alert">
          <p>Your browser holds the sound back. You can read and type meanwhile.</p>
          <button class="button" onClick={onSound}>Let it sound</button>
        </div>
      )}
      {microphone.state === 'asking' && (
        <div class="banner">
          <p>Your browser asks whether this page may hear you. Please allow it.</p>
        </div>
      )}
      {microphone.state === 'fault' && (
        <div class="banner warn" role="alert">
          <p>{microphone.message}</p>
          {microphone.others.slice(0, MOST_OFFERED).map(({ id, name }) => (
            <button key={id} class="button" onClick={() => onMicrophone(id)}>Use {name}</button>
          ))}
          {microphone.fault !== 'insecure' && microphone.others.length === 0 && (
            <button class="button" onClick={() => onMicrophone(null)}>Try the microphone again</button>
          )}
        </div>
      )}
    </div>
  )
}

function KeyForm({ message, onKey }: { message: string; onKey: (key: string) => void }) {
  const [typed, setTyped] = useState('')
  return (
    <form
      class="banner bad"
      onSubmit={(event) => {
        event.preventDefault()
        if (typed.trim()) onKey(typed.trim())
      }}
    >
      <label for="key">
        <b>{message}</b> It stands in the server's configuration as <code>server.keys</code>.
      </label>
      <input
        id="key" type="password" autocomplete="off" placeholder="Key" value={typed}
        onInput={(event) => setTyped(event.currentTarget.value)}
      />
      <button class="button primary">Connect</button>
    </form>
  )
}

function Countdown({ untilMs }: { untilMs: number }) {
  const [now, setNow] = useState(performance.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(performance.now()), 250)
    return () => clearInterval(timer)
  }, [])
  const seconds = Math.ceil((untilMs - now) / 1000)
  return <span aria-hidden="true">{seconds > 0 ? `Trying again in ${seconds} s.` : 'Trying…'}</span>
}
