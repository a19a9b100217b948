/** Where the time of each answer went, as bars against the budget; and how the session does as a whole. */

import type { Timing } from '../client'
import { percentile } from '../client/audio/jitter'

export const STAGES: readonly { name: string; title: string; words: string }[] = [
  { name: 'silence_complete', title: 'End of turn', words: 'waiting to be sure that you were done: the silence setting' },
  { name: 'committed', title: 'Commit', words: 'closing your turn' },
  { name: 'transcript', title: 'Recognising', words: 'the recogniser' },
  { name: 'first_token', title: 'Thinking', words: "the model's first word, tools included" },
  { name: 'first_clause', title: 'First clause', words: 'until there was something to say aloud' },
  { name: 'first_audio', title: 'Voice', words: "the voice's first sound" },
  { name: 'player', title: 'This browser', words: 'gathering sound, and the loudspeaker' },
]

/** What is said of an answer that made no sound. */
const SILENT: Record<string, string> = { completed: 'no sound', cancelled: 'interrupted before it began', failed: 'failed' }

interface Part {
  readonly name: string
  readonly ms: number
}

export function partsOf(timing: Timing): readonly Part[] {
  const player = timing.playerMs === null ? [] : [{ name: 'player', ms: timing.playerMs }]
  return [...timing.stages, ...player]
}

export function totalOf(timing: Timing): number | null {
  return timing.waitMs === null ? null : timing.waitMs + (timing.playerMs ?? 0)
}

interface Props {
  timings: readonly Timing[]
  budgetMs: number
  onBudget: (ms: number) => void
}

export function TimingPanel({ timings, budgetMs, onBudget }: Props) {
  const totals = timings.map(totalOf).filter((total): total is number => total !== null)
  const scale = Math.max(budgetMs * 1.25, ...totals.slice(-12))
  return (
    <>
      <dl class="figures">
        <Figure title="Median" value={totals.length ? ms(percentile(totals, 0.5)) : '–'} isOver={percentile(totals, 0.5) > budgetMs} />
        <Figure title="95 of 100" value={totals.length ? ms(percentile(totals, 0.95)) : '–'} isOver={percentile(totals, 0.95) > budgetMs} />
        <Figure title="Answers" value={String(totals.length)} isOver={false} />
        <div class="figure">
          <dt><label for="budget">Budget</label></dt>
          <dd>
            <input
              id="budget" type="number" min={100} max={10_000} step={50} value={budgetMs}
              onChange={(event) => onBudget(Math.min(10_000, Math.max(100, event.currentTarget.valueAsNumber || 800)))}
            />{' '}
            ms
          </dd>
        </div>
      </dl>
      {timings.length === 0 ? (
        <p class="dim">
          After each answer a bar appears here: from the moment you stopped speaking to the first sound that you heard, stage by stage.
        </p>
      ) : (
        <>
          <Legend timings={timings} />
          <ol class="turns" reversed>
            {timings.slice(-30).reverse().map((timing) => (
              <li key={timing.responseId}><TurnBar timing={timing} scale={scale} budgetMs={budgetMs} /></li>
            ))}
          </ol>
        </>
      )}
    </>
  )
}

function Figure({ title, value, isOver }: { title: string; value: string; isOver: boolean }) {
  return (
    <div class="figure">
      <dt>{title}</dt>
      <dd data-over={isOver}>{value}</dd>
    </div>
  )
}

function Legend({ timings }: { timings: readonly Timing[] }) {
  const used = new Set(timings.flatMap((timing) => partsOf(timing).filter((part) => part.ms >= 1).map((part) => part.name)))
  return (
    <ul class="legend">
      {STAGES.filter((stage) => used.has(stage.name)).map((stage) => (
        <li key={stage.name} title={stage.words}>
          <span class="swatch" data-stage={stage.name} aria-hidden="true" /> {stage.title}
        </li>
      ))}
    </ul>
  )
}

function TurnBar({ timing, scale, budgetMs }: { timing: Timing; scale: number; budgetMs: number }) {
  const total = totalOf(timing)
  const percent = (length: number) => `${(100 * length) / scale}%`
  return (
    <details class="turn">
      <summary>
        <span class="turn-words">{timing.question || 'Said unasked'}</span>
        <span class="turn-total" data-over={total !== null && total > budgetMs}>{total === null ? <span class="dim">{SILENT[timing.status] ?? timing.status}</span> : ms(total)}</span>
        <span class="track" aria-hidden="true">
          {partsOf(timing).map((part) => (
            <span key={part.name} class="part" data-stage={part.name} style={{ width: percent(part.ms) }} />
          ))}
          {timing.tools.map((tool) => (
            <span key={tool.call_id} class="tool-span" title={tool.name} style={{ left: percent(tool.start_ms), width: percent(tool.ms) }} />
          ))}
          <span class="budget" style={{ left: percent(budgetMs) }} />
        </span>
      </summary>
      {timing.wasPrepared && (
        <p class="dim prepared">The answer was prepared while the server waited for the end of your turn: that work is in no bar.</p>
      )}
      <table>
        <caption class="unseen">Where {total === null ? 'the time' : ms(total)} went</caption>
        <tbody>
          {partsOf(timing).map((part) => <Row key={part.name} part={part} />)}
          {timing.tools.map((tool) => (
            <tr key={tool.call_id}>
              <th scope="row"><span class="swatch" data-stage="tool" aria-hidden="true" /> {tool.name}</th>
              <td class="dim">a tool, {tool.start_ms < 0 ? 'before the wait' : `from ${ms(tool.start_ms)} on`}</td>
              <td>{ms(tool.ms)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  )
}

function Row({ part }: { part: Part }) {
  const stage = STAGES.find((one) => one.name === part.name)
  return (
    <tr>
      <th scope="row"><span class="swatch" data-stage={part.name} aria-hidden="true" /> {stage?.title ?? part.name}</th>
      <td class="dim">{stage?.words}</td>
      <td>{ms(part.ms)}</td>
    </tr>
  )
}

export function ms(value: number): string {
  return value < 10 && value > 0 ? `${value.toFixed(1)} ms` : `${Math.round(value).toLocaleString('en')} ms`
}
