/** A player of one recording: the screen, the timeline, and what one can do with them. */
import { ChevronsLeft, ChevronsRight, ClipboardCopy, Link2, LoaderCircle, Maximize, Minimize, Pause, Play, ShieldAlert, SkipBack, SkipForward } from 'lucide-react'
import { useCallback, useEffect, useRef, useState, useSyncExternalStore, type KeyboardEvent } from 'react'
import { toast } from 'sonner'
import { recordings } from '@/api/hub'
import { hasCode } from '@/api/problem'
import { IconButton } from '@/components/button'
import { EmptyState, ErrorState, ProblemReference } from '@/components/states'
import { cn } from '@/lib/cn'
import { Engine, type EngineState } from './engine'
import { Commands, FindBox, leadTo, useFind } from './find'
import { formatPosition, type Marker } from './format'
import { patiently } from './patience'
import './player.css'
import { PlayerScreen, ScreenUnavailable, textOf } from './screen'
import { Timeline, type Activity } from './timeline'

const SPEEDS = [0.5, 1, 1.5, 2, 4, 8]
const JUMP_SECONDS = 5
const LONG_JUMP_SECONDS = 60

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

interface PlayerProps {
  sessionId: string
  /** Seconds to begin at; another value later is a jump. */
  at: number
  /** How much happened when. */
  activity: Activity[]
  /** The address of a moment. */
  linkTo: (seconds: number) => string
  /** What is looked for in it. */
  find: string | undefined
  onFind: (text: string | undefined) => void
}

/** Loads what is needed and plays; the loading is the playing that the ledger tells of. */
export default function RecordingPlayer(props: PlayerProps) {
  const [round, setRound] = useState(0)
  return <Attempt key={round} {...props} onRetry={() => setRound((before) => before + 1)} />
}

function Attempt({ onRetry, ...props }: PlayerProps & { onRetry: () => void }) {
  const { sessionId, at } = props
  const parent = useRef<HTMLDivElement>(null)
  const [engine, setEngine] = useState<Engine | null>(null)
  const [failure, setFailure] = useState<unknown>(null)
  const first = useRef(at)

  useEffect(() => {
    const element = parent.current
    if (!element) return
    let gone = false
    let screen: PlayerScreen | null = null
    let made: Engine | null = null
    const start = async () => {
      const index = await recordings.play(sessionId)
      if (gone) return
      screen = await PlayerScreen.open(element, index.term)
      if (gone) return screen.dispose()
      made = new Engine(index, patiently(recordings.segment, sleep), screen)
      setEngine(made)
      await made.seek(first.current)
    }
    start().catch((error: unknown) => !gone && setFailure(error))
    return () => {
      gone = true
      made?.dispose()
      screen?.dispose()
      setEngine(null)
    }
  }, [sessionId])

  if (failure !== null) return <Failure error={failure} onRetry={onRetry} />
  return <Frame screen={parent} engine={engine} {...props} />
}

function Failure({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  if (error instanceof ScreenUnavailable) {
    return (
      <p role="alert" className="mx-auto max-w-md px-6 py-16 text-center text-sm text-muted">
        This browser, or a policy in front of it, does not allow WebAssembly, which the player draws with. Download the recording to play it
        elsewhere.
      </p>
    )
  }
  if (hasCode(error, 'recording_damaged')) {
    return (
      <EmptyState icon={ShieldAlert} title="The recording is damaged">
        {error.message} <ProblemReference problem={error} className="mt-2" />
      </EmptyState>
    )
  }
  return <ErrorState error={error} onRetry={onRetry} />
}

const NOTHING: EngineState = { phase: 'paused', time: 0, waiting: true, speed: 1, skipIdle: true, markers: [], error: null }
const NO_COMMANDS: readonly Marker[] = []
const never = () => () => undefined

interface FrameProps extends PlayerProps {
  screen: React.RefObject<HTMLDivElement | null>
  engine: Engine | null
}

function Frame({ screen, engine, sessionId, at, activity, linkTo, find, onFind }: FrameProps) {
  const state = useSyncExternalStore(engine?.subscribe ?? never, engine?.getState ?? (() => NOTHING))
  const frame = useRef<HTMLElement>(null)
  const [full, setFull] = useState(false)
  const findInput = useRef<HTMLInputElement>(null)
  const found = useFind(sessionId, find)
  const duration = engine?.index.duration ?? 0
  const commands = engine?.index.commands ?? NO_COMMANDS
  const seek = (time: number) => void engine?.seek(time)
  const asked = useRef(at)

  // The keyboard is the player's at once; a page that scrolls there would jump.
  useEffect(() => {
    if (engine) frame.current?.focus({ preventScroll: true })
  }, [engine])
  useEffect(() => {
    if (asked.current === at) return
    asked.current = at
    void engine?.seek(at)
  }, [at, engine])
  useEffect(() => {
    const onChange = () => setFull(document.fullscreenElement !== null && document.fullscreenElement === frame.current)
    document.addEventListener('fullscreenchange', onChange)
    return () => document.removeEventListener('fullscreenchange', onChange)
  }, [])

  const toggleFull = useCallback(() => {
    if (document.fullscreenElement) void document.exitFullscreen()
    else void frame.current?.requestFullscreen().catch(() => toast.error('The browser refuses to fill the screen'))
  }, [])
  const copyLink = () => copy(linkTo(Math.floor(state.time * 10) / 10), `Link to ${formatPosition(state.time)} copied`)
  const copyScreen = () => copy(screen.current ? textOf(screen.current) : '', 'Text of the screen copied')

  const onKeyDown = (event: KeyboardEvent) => {
    if (!engine || event.altKey || event.ctrlKey || event.metaKey) return
    const target = event.target instanceof HTMLElement ? event.target : null
    // What is typed into a field is text.
    if (target?.matches('input[type=search]')) return
    const onControl = (target?.closest('button, select, summary') ?? null) !== null
    // A button does what it is for; a choice is made with the arrows.
    if (onControl && ['Enter', ' ', 'ArrowUp', 'ArrowDown'].includes(event.key)) return
    const hit = (direction: 1 | -1) => {
      const next = direction > 0 ? found.hits.find(([time]) => leadTo(time) > state.time + 0.05) : found.hits.findLast(([time]) => leadTo(time) < state.time - 0.5)
      if (next) seek(leadTo(next[0]))
    }
    const acts: Record<string, () => void> = { '/': () => findInput.current?.focus(), n: () => hit(1), N: () => hit(-1) }
    const act = acts[event.key] ?? keyAct(event, engine, state, toggleFull)
    if (!act) return
    event.preventDefault()
    event.stopPropagation()
    act()
  }

  const playing = state.phase === 'playing'
  const failed = state.error !== null
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- the keys work wherever one is in the player
    <section
      ref={frame}
      aria-label="Recording player"
      // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- it takes the keyboard as a whole
      tabIndex={0}
      onKeyDownCapture={onKeyDown}
      data-phase={state.phase}
      data-waiting={state.waiting}
      className="flex flex-col overflow-hidden rounded-b-xl bg-surface focus-visible:outline-none"
    >
      <div className={cn('relative bg-[#0f1117]', full ? 'min-h-0 flex-1' : 'h-[34vh] min-h-56 sm:h-[52vh]')}>
        <div ref={screen} className="recording-screen absolute inset-0 select-text" />
        {(engine === null || state.waiting) && !failed && (
          <p role="status" aria-label="Loading" className="absolute top-3 right-3 animate-fade rounded-md bg-black/50 p-1.5 text-white">
            <LoaderCircle aria-hidden className="size-4 animate-spin" />
          </p>
        )}
        {failed && (
          <div className="absolute inset-0 grid place-items-center overflow-auto bg-surface/95">
            <Failure error={state.error} onRetry={() => void engine?.seek(state.time)} />
          </div>
        )}
      </div>
      <div className="flex flex-col gap-1 border-t px-3 pt-2 pb-2">
        <Timeline
          duration={duration}
          time={state.time}
          markers={state.markers}
          commands={commands}
          hits={found.hits}
          activity={activity}
          onSeek={seek}
        />
        <div className="flex flex-wrap items-center gap-x-1 gap-y-1">
          <IconButton
            icon={playing ? Pause : Play}
            label={playing ? 'Pause' : 'Play'}
            hint={playing ? 'Pause (space)' : 'Play (space)'}
            disabled={!engine}
            onClick={() => engine?.toggle()}
          />
          <IconButton icon={ChevronsLeft} label="Back 5 seconds" hint="Back 5 s (←)" disabled={!engine} onClick={() => void engine?.seek(state.time - JUMP_SECONDS)} />
          <IconButton icon={ChevronsRight} label="Forward 5 seconds" hint="Forward 5 s (→)" disabled={!engine} onClick={() => void engine?.seek(state.time + JUMP_SECONDS)} />
          <IconButton icon={SkipBack} label="Previous frame" hint="Previous frame (,)" disabled={!engine} onClick={() => void engine?.step(-1)} />
          <IconButton icon={SkipForward} label="Next frame" hint="Next frame (.)" disabled={!engine} onClick={() => void engine?.step(1)} />
          <span className="px-2 text-xs text-muted tabular-nums" data-testid="position">
            {formatPosition(state.time)} / {formatPosition(duration)}
          </span>
          <FindBox input={findInput} text={find} found={found} time={state.time} onText={onFind} onSeek={seek} />
          <span className="ml-auto flex flex-wrap items-center gap-1">
            <label className="flex h-8 cursor-pointer items-center gap-1.5 rounded-md px-2 text-xs text-muted hover:bg-hover">
              <input type="checkbox" className="accent-(--accent)" checked={state.skipIdle} onChange={(event) => engine?.setSkipIdle(event.target.checked)} />
              Skip idle
            </label>
            <select
              aria-label="Speed"
              value={state.speed}
              onChange={(event) => engine?.setSpeed(Number(event.target.value))}
              className="h-8 rounded-md border bg-surface px-1.5 text-xs text-fg tabular-nums"
            >
              {SPEEDS.map((speed) => (
                <option key={speed} value={speed}>
                  {speed}×
                </option>
              ))}
            </select>
            <IconButton icon={ClipboardCopy} label="Copy the screen's text" disabled={!engine} onClick={copyScreen} />
            <IconButton icon={Link2} label="Copy a link to this moment" disabled={!engine} onClick={copyLink} />
            <IconButton icon={full ? Minimize : Maximize} label={full ? 'Leave full screen' : 'Full screen'} hint="Full screen (f)" onClick={toggleFull} />
          </span>
        </div>
      </div>
      {commands.length > 0 && !full && <Commands commands={commands} time={state.time} onSeek={seek} />}
    </section>
  )
}

/** What a key does. */
function keyAct({ key, shiftKey }: KeyboardEvent, engine: Engine, { time, speed }: EngineState, toggleFull: () => void): (() => unknown) | null {
  const jump = shiftKey ? LONG_JUMP_SECONDS : JUMP_SECONDS
  const { duration } = engine.index
  const faster = SPEEDS.find((other) => other > speed) ?? speed
  const slower = SPEEDS.findLast((other) => other < speed) ?? speed
  const acts: Record<string, () => unknown> = {
    ' ': () => engine.toggle(),
    k: () => engine.toggle(),
    ArrowLeft: () => engine.seek(time - jump),
    ArrowRight: () => engine.seek(time + jump),
    ArrowUp: () => engine.setSpeed(faster),
    ArrowDown: () => engine.setSpeed(slower),
    Home: () => engine.seek(0),
    End: () => engine.seek(duration),
    ',': () => engine.step(-1),
    '.': () => engine.step(1),
    '[': () => engine.seekMarker(-1),
    ']': () => engine.seekMarker(1),
    f: toggleFull,
  }
  if (/^\d$/.test(key)) return () => engine.seek((duration * Number(key)) / 10)
  return acts[key] ?? null
}

async function copy(text: string, said: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text)
    toast.success(said)
  } catch {
    toast.error('The browser did not allow copying')
  }
}
