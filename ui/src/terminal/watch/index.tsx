/** Somebody else's session, live: full bleed, and clear about who watches whom. */
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { CircleStop, Eye, Hand, Keyboard, LoaderCircle, Maximize2, Minimize2, X } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'
import '@xterm/xterm/css/xterm.css'
import { useMe } from '@/api/hooks'
import { sessions } from '@/api/hub'
import { Button, buttonClass } from '@/components/button'
import { ProblemReference } from '@/components/states'
import { mayEndAny } from '@/lib/access'
import { useTheme } from '@/lib/theme'
import { EndSessionDialog } from '@/pages/sessions/end'
import { themeOf } from '../model/themes'
import { inWords } from '../model/words'
import type { InputRight, NoticeMessage, ParticipantsMessage, TerminalSize, WatchReadyMessage } from '../protocol/messages'
import { WatchConnection, type WatchState } from '../protocol/watch-connection'
import { watchPreflight } from '../services'
import { useClock, useWorkspace } from '../view/use-workspace'
import { WatchScreen } from './screen'
import './watch.css'

const route = getRouteApi('/signed-in/watch/$id')

export function WatchPage() {
  const { id } = route.useParams()
  const { mode } = route.useSearch()
  return <Watch key={`${id}-${mode ?? 'watch'}`} id={id} mode={mode ?? 'watch'} />
}

export default WatchPage

function Watch({ id, mode }: { id: string; mode: 'watch' | 'join' }) {
  const me = useMe()
  const { data: session } = useQuery(sessions.one(id))
  const { preferences } = useWorkspace()
  const { resolved } = useTheme()
  const place = useRef<HTMLDivElement>(null)
  const connection = useRef<WatchConnection | null>(null)
  const shown = useRef<WatchScreen | null>(null)
  const [state, setState] = useState<WatchState>({ phase: 'connecting' })
  const [ready, setReady] = useState<WatchReadyMessage | null>(null)
  const [right, setRight] = useState<InputRight>('none')
  const [people, setPeople] = useState<ParticipantsMessage | null>(null)
  const [notice, setNotice] = useState<NoticeMessage | null>(null)
  const [ending, setEnding] = useState(false)
  const [fits, setFits] = useState(true)
  const [size, setSize] = useState<TerminalSize | null>(null)
  const [whole, setWhole] = useState(false)
  const [round, setRound] = useState(0)
  useEffect(() => {
    const parent = place.current
    if (!parent) return undefined
    const screen = new WatchScreen(parent, preferences, resolved, (bytes) => connection.current?.send(bytes), setFits, setSize)
    shown.current = screen
    screen.showWhole(whole)
    const watching = new WatchConnection({
      base: location.origin,
      sessionId: id,
      mode,
      preflight: () => watchPreflight(id, mode),
      sink: screen,
      events: {
        onState: setState,
        onReady: setReady,
        onNotice: setNotice,
        onParticipants: setPeople,
        onInputRight: (granted) => {
          setRight(granted)
          screen.allowInput(granted === 'granted')
        },
      },
    })
    connection.current = watching
    void watching.start()
    return () => {
      connection.current = null
      shown.current = null
      watching.dispose()
      screen.dispose()
    }
    // The theme and the letters are those one came with.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [id, mode, round])
  const owner = ready?.user_name ?? session?.user_name ?? '…'
  const target = session?.target_name ?? '…'
  const own = session?.user_id === me.user.id
  const open = state.phase === 'open'
  const others = people ? people.watching.length + people.joined.length - 1 : 0
  return (
    <main className="flex h-dvh flex-col bg-canvas text-fg">
      <header className="flex min-h-11 shrink-0 flex-wrap items-center gap-x-3 gap-y-1 border-b border-line bg-info-soft px-3 py-1.5 text-sm text-info-text">
        <h1 className="flex min-w-0 items-center gap-2.5 font-medium">
          {right === 'granted' ? <Keyboard aria-hidden className="size-4 shrink-0" /> : <Eye aria-hidden className="size-4 shrink-0" />}
          {state.phase === 'ended' ? `The session of ${owner} on ${target} was watched here` : right === 'granted' ? `You type in the session of ${owner} on ${target}` : mode === 'join' ? `You joined ${owner} on ${target}` : `You are watching ${owner} on ${target}`}
        </h1>
        {ready && (
          <span className="text-xs tabular-nums">
            {ready.recorded ? 'Recorded' : 'Not recorded'}
            {size && (
              <span title="Columns and rows of their terminal">
                , {size.cols}×{size.rows}
              </span>
            )}
            {others > 0 && `, ${others} more ${others === 1 ? 'person is' : 'people are'} here`}
          </span>
        )}
        <span className="ml-auto flex flex-wrap items-center gap-2">
          {mode === 'join' && open && right === 'none' && (
            <Button size="sm" icon={Hand} onClick={() => connection.current?.requestInput()}>
              Ask to type
            </Button>
          )}
          {right === 'asked' && <span className="text-xs">Waiting for {owner} to allow it…</span>}
          {open && (!fits || whole) && (
            <Button
              size="sm"
              icon={whole ? Maximize2 : Minimize2}
              onClick={() => {
                shown.current?.showWhole(!whole)
                setWhole(!whole)
              }}
            >
              {whole ? 'Readable size' : 'Fit'}
            </Button>
          )}
          {open && session && (own || mayEndAny(me)) && (
            <Button size="sm" variant="danger-ghost" icon={CircleStop} onClick={() => setEnding(true)}>
              End…
            </Button>
          )}
          <Link to="/sessions/$id" params={{ id }} className={buttonClass({ size: 'sm' })}>
            <X aria-hidden className="size-3.5" /> Leave
          </Link>
        </span>
      </header>
      {notice && open && (
        <p role="status" className="shrink-0 bg-warning-soft px-3 py-1 text-xs text-warning-text">
          {notice.message}
        </p>
      )}
      {state.phase === 'waiting' && <Waiting until={state.retryAt} />}
      <div className="relative min-h-0 flex-1 p-2" style={{ background: themeOf(preferences.theme, resolved).colours.background }}>
        <div ref={place} data-watch={id} className="h-full w-full overflow-auto" />
        {state.phase === 'connecting' && (
          <p role="status" className="absolute inset-0 grid place-items-center">
            <span className="flex items-center gap-2 rounded-lg bg-raised px-4 py-2.5 text-sm text-muted shadow-pop">
              <LoaderCircle className="size-4 animate-spin" aria-hidden /> Opening the session’s screen…
            </span>
          </p>
        )}
        {state.phase === 'ended' && (
          <div className="absolute inset-x-0 bottom-0 flex justify-center p-4">
            <div role="alert" className="w-full max-w-lg rounded-xl bg-raised p-5 text-fg shadow-pop">
              <h2 className="font-semibold">{state.ending.title}</h2>
              {state.ending.detail && <p className="mt-0.5 text-sm break-words text-muted">{state.ending.detail}</p>}
              {state.ending.code && <ProblemReference problem={{ code: state.ending.code }} className="mt-1.5" />}
              <div className="mt-4 flex justify-end gap-2">
                {state.ending.kind !== 'exit' && state.ending.kind !== 'terminated' && <Button onClick={() => setRound((before) => before + 1)}>Try again</Button>}
                <Link to="/sessions/$id" params={{ id }} className={buttonClass({ variant: 'primary' })}>
                  Show the session
                </Link>
              </div>
            </div>
          </div>
        )}
      </div>
      {ending && session && <EndSessionDialog session={session} onClose={() => setEnding(false)} />}
    </main>
  )
}

function Waiting({ until }: { until: number }) {
  const left = until - useClock(true)
  return (
    <p role="status" className="shrink-0 bg-warning-soft px-3 py-1 text-xs text-warning-text">
      The connection was lost; {left > 500 ? `trying again in ${inWords(left)}` : 'trying again now'}. The session itself goes on.
    </p>
  )
}
