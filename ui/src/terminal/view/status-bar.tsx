import { cn } from '@/lib/cn'
import { inWords } from '../model/words'
import type { PaneController } from '../pane/controller'
import { useClock, usePaneState } from './use-workspace'

const PHASES = {
  idle: ['Not connected', 'bg-faint'],
  checking: ['Connecting', 'bg-info'],
  connecting: ['Connecting', 'bg-info'],
  open: ['Connected', 'bg-success'],
  waiting: ['Reconnecting', 'bg-warning'],
  ended: ['Ended', 'bg-faint'],
} as const

/** The facts about the terminal in front, on one line. */
export function StatusBar({ pane }: { pane: PaneController }) {
  const state = usePaneState(pane)
  const { stats, size, connection, endsAt, recorded, silentSince } = state
  const open = connection.phase === 'open'
  const now = useClock((endsAt !== null || silentSince !== null) && open)
  const silent = open && silentSince !== null
  const [phase, dot] = silent ? [`No answer from the hub for ${inWords(now - silentSince)}`, 'bg-warning'] : PHASES[connection.phase]
  const left = endsAt === null ? null : endsAt - now
  return (
    <footer data-received={stats.bytesReceived} className="flex h-6 shrink-0 items-center gap-4 overflow-hidden border-t border-line bg-surface px-3 text-2xs whitespace-nowrap text-muted tabular-nums">
      <span className="flex items-center gap-1.5">
        <span aria-hidden className={cn('size-1.5 rounded-full', dot)} />
        <span className={cn(silent && 'text-warning-text')}>{phase}</span>
      </span>
      {open && stats.echoMilliseconds !== null && (
        <span title="From a key to its echo; measured while you type">{Math.max(1, Math.round(stats.echoMilliseconds))} ms</span>
      )}
      {recorded !== null && <RecordedMark recorded={recorded} over={connection.phase === 'ended'} />}
      {left !== null && open && (
        <span className={cn('font-medium', left < 5 * 60_000 ? 'text-warning-text' : 'text-fg')}>Ends in {inWords(left)}</span>
      )}
      <span className="ml-auto max-sm:hidden">UTF-8</span>
      <span className="max-sm:ml-auto" title="Columns and rows">
        {size.cols}×{size.rows}
      </span>
    </footer>
  )
}

/** What the hub says about recording, in the words of what is and what was. */
function RecordedMark({ recorded, over }: { recorded: boolean; over: boolean }) {
  const was = over ? 'was' : 'is'
  return (
    <span
      className="flex items-center gap-1.5"
      title={recorded ? `This session ${was} recorded: what it shows and what you type, but for what is typed unseen` : `This session ${was} not recorded`}
    >
      <span aria-hidden className={cn('size-1.5 rounded-full', recorded ? (over ? 'bg-faint' : 'bg-danger') : 'border border-faint')} />
      {recorded ? 'Recorded' : 'Not recorded'}
    </span>
  )
}
