/** A player of one recording: the screen, the timeline, and what one can do with them. */
import { ChevronsLeft, ChevronsRight, ClipboardCopy, Link2, LoaderCircle, Maximize, Minimize, Pause, Play, ShieldAlert, SkipBack, SkipForward } from 'lucide-react'
import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore, type CSSProperties, type KeyboardEvent } from 'react'
import { toast } from 'sonner'
import { recordings } from '@/api/hub'
import { usePreference } from '@/api/preferences'
import { hasCode } from '@/api/problem'
import { IconButton } from '@/components/button'
import { EmptyState, ErrorState, ProblemReference } from '@/components/states'
import { cn } from '@/lib/cn'
import { useTheme } from '@/lib/theme'
import { readPreferences } from '@/terminal/model/preferences'
import { themeOf, type TerminalTheme } from '@/terminal/model/themes'
import { Engine, type EngineState } from './engine'
import { Commands, FindBox, useFind } from './find'
import { formatPosition, type Marker, type Size } from './format'
import { useHits } from './hits'
import { Marks } from './marks'
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
  /** Plays at once. */
  play: boolean
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

/** What there is once the recording is there. */
interface Parts {
  engine: Engine
  marks: Marks
  screen: PlayerScreen
}

const isAnything = (_value: unknown): _value is unknown => true

/** The colours that this person's terminals have. */
function useTerminalTheme(): TerminalTheme {
  const { resolved } = useTheme()
  const [stored] = usePreference<unknown>('terminal', undefined, isAnything)
  return useMemo(() => themeOf(readPreferences(stored).theme, resolved), [stored, resolved])
}

function Attempt({ onRetry, ...props }: PlayerProps & { onRetry: () => void }) {
  const { sessionId, at, play } = props
  const parent = useRef<HTMLDivElement>(null)
  const [parts, setParts] = useState<Parts | null>(null)
  const [failure, setFailure] = useState<unknown>(null)
  const first = useRef({ at, play })
  const theme = useTerminalTheme()
  const colours = useRef(theme)

  useEffect(() => {
    const element = parent.current
    if (!element) return
    let gone = false
    const leaving = new AbortController()
    let screen: PlayerScreen | null = null
    let made: Parts | null = null
    const start = async () => {
      const index = await recordings.play(sessionId)
      if (gone) return
      const drawn = await PlayerScreen.open(element, index.term, colours.current)
      screen = drawn
      if (gone) return drawn.dispose()
      made = { engine: new Engine(index, patiently((url) => recordings.segment(url, leaving.signal), sleep, leaving.signal), drawn), marks: new Marks(element, () => drawn.columns), screen: drawn }
      setParts(made)
      await made.engine.seek(first.current.at)
      if (first.current.play && !gone) made.engine.play()
    }
    start().catch((error: unknown) => !gone && setFailure(error))
    return () => {
      gone = true
      leaving.abort()
      made?.engine.dispose()
      made?.marks.dispose()
      screen?.dispose()
      setParts(null)
    }
  }, [sessionId])

  useEffect(() => {
    if (colours.current === theme) return
    colours.current = theme
    if (!parts) return
    parts.screen.paint(theme)
    parts.engine.redraw()
  }, [theme, parts])

  if (failure !== null) return <Failure error={failure} onRetry={onRetry} />
  return <Frame screen={parent} engine={parts?.engine ?? null} marks={parts?.marks ?? null} theme={theme} {...props} />
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
const USUAL: Size = { cols: 80, rows: 24 }
const NO_COMMANDS: readonly Marker[] = []
const never = () => () => undefined

interface FrameProps extends PlayerProps {
  screen: React.RefObject<HTMLDivElement | null>
  engine: Engine | null
  marks: Marks | null
  theme: TerminalTheme
}

/**
 * The colours of the terminal, and its shape: a letter is about 0.6 of its height wide, a line 1.33 of it high,
 * and there is a border. The whole window has a shape of its own.
 */
const shapeOf = ({ cols, rows }: Size, { colours }: TerminalTheme, full: boolean) =>
  ({
    background: colours.background,
    '--recording-background': colours.background,
    '--recording-foreground': colours.foreground,
    aspectRatio: full ? undefined : `${(cols * 0.6 + 1.5).toFixed(1)} / ${(rows * 1.334 + 1.5).toFixed(1)}`,
  }) as CSSProperties

function Frame({ screen, engine, marks, theme, sessionId, at, play, activity, linkTo, find, onFind }: FrameProps) {
  const state = useSyncExternalStore(engine?.subscribe ?? never, engine?.getState ?? (() => NOTHING))
  const frame = useRef<HTMLElement>(null)
  const [full, setFull] = useState(false)
  const findInput = useRef<HTMLInputElement>(null)
  const found = useFind(sessionId, find)
  const duration = engine?.index.duration ?? 0
  const commands = engine?.index.commands ?? NO_COMMANDS
  const seek = (time: number) => void engine?.seek(time)
  const hits = useHits({ engine, marks, found, find, time: state.time, linked: at })
  const asked = useRef(at)

  // The keyboard is the player's at once; a page that scrolls there would jump.
  useEffect(() => {
    if (engine) frame.current?.focus({ preventScroll: true })
  }, [engine])
  // What was asked to play is looked at: the whole of it, with its buttons.
  useEffect(() => {
    if (engine && play) frame.current?.scrollIntoView({ block: 'nearest' })
  }, [engine, play])
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
    const acts: Record<string, () => unknown> = { '/': () => findInput.current?.focus(), n: () => hits.go(1), N: () => hits.go(-1) }
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
      className="flex scroll-my-3 flex-col overflow-hidden rounded-b-xl bg-surface focus-visible:outline-none"
    >
      <div className={cn('relative', full ? 'min-h-0 flex-1' : 'max-h-[70vh] min-h-56')} style={shapeOf(engine?.index.term ?? USUAL, theme, full)}>
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
          <FindBox
            input={findInput}
            text={find}
            found={found}
            at={hits.at}
            onText={(text) => {
              hits.ask()
              onFind(text)
            }}
            onGo={hits.go}
            onLeave={() => frame.current?.focus({ preventScroll: true })}
          />
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
