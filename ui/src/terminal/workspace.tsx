import { useNavigate, useRouterState, useSearch } from '@tanstack/react-router'
import { X } from 'lucide-react'
import { lazy, Suspense, useEffect, useRef, useState } from 'react'
import '@xterm/xterm/css/xterm.css'
import { useMe } from '@/api/hooks'
import type { Session } from '@/api/types'
import { Button } from '@/components/button'
import { useAttended } from '@/lib/attention'
import { formatExact, formatRelative } from '@/lib/format'
import { useTheme } from '@/lib/theme'
import { useNow } from '@/lib/use-now'
import { commandOf } from './model/keymap'
import { activeTab } from './model/layout'
import { workspace } from './model/workspace'
import { CloseDialog, PasteDialog } from './view/dialogs'
import { Tool } from './view/parts'
import { KeyBar } from './view/key-bar'
import { runCommand } from './view/run-command'
import { SettingsPanel } from './view/settings-panel'
import { SplitView } from './view/split-view'
import { StatusBar } from './view/status-bar'
import { TabBar } from './view/tab-bar'
import { TargetList, TargetPicker } from './view/target-picker'
import { useWorkspace } from './view/use-workspace'

const CommandPalette = lazy(() => import('@/layout/command-palette'))

/** Full bleed: tabs of terminals, and nothing of the console around them. */
export function TerminalWorkspace() {
  const state = useWorkspace()
  const me = useMe()
  const { resolved } = useTheme()
  useOpenFromAddress()
  useEffect(() => void workspace.start(me.user.id, resolved), [me.user.id, resolved])
  useEffect(() => workspace.setAppearance(resolved), [resolved])
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const command = commandOf(event)
      if (command && !document.querySelector('[role=dialog]') && runCommand(command)) event.preventDefault()
    }
    window.addEventListener('keydown', press, { capture: true })
    return () => window.removeEventListener('keydown', press, { capture: true })
  }, [])
  const tab = activeTab(state.layout)
  const pane = tab && workspace.pane(tab.activePane)
  return (
    <main className="flex h-dvh flex-col bg-canvas text-fg">
      <h1 className="sr-only">Terminal workspace</h1>
      <TabBar />
      <OpenSessions />
      <div role="tabpanel" aria-label="Terminal" className="min-h-0 flex-1">
        {tab ? <SplitView key={tab.id} node={tab.root} tab={tab} /> : <EmptyWorkspace />}
      </div>
      {pane && <KeyBar pane={pane} />}
      {pane && <StatusBar pane={pane} />}
      <TargetPicker open={state.picking} />
      <SettingsPanel open={state.settings} />
      <PasteDialog />
      <CloseDialog />
      <Palette />
    </main>
  )
}

/** The console's palette, which elsewhere the frame shows. */
function Palette() {
  const [open, setOpen] = useState(false)
  useEffect(() => {
    const show = () => setOpen(true)
    window.addEventListener('openpam:palette', show)
    return () => window.removeEventListener('openpam:palette', show)
  }, [])
  if (!open) return null
  return (
    <Suspense>
      <CommandPalette
        onClose={() => {
          setOpen(false)
          workspace.activePane?.focus()
        }}
      />
    </Suspense>
  )
}

/** Opens the target an address names, once, and takes it out of the address so that a reload resumes instead. */
function useOpenFromAddress() {
  const search = useSearch({ from: '/signed-in/terminal' })
  const reason = useRouterState({ select: (router) => router.location.state.reason })
  const navigate = useNavigate()
  const opened = useRef<string | null>(null)
  const { target, credential } = search
  useEffect(() => {
    if (!target || opened.current === target) return
    opened.current = target
    workspace.open(target, credential ?? null, reason ?? null)
    void navigate({ to: '/terminal', search: {}, replace: true }).then(() => {
      opened.current = null
    })
  }, [target, credential, reason, navigate])
}

function EmptyWorkspace() {
  return (
    <div data-scrollable className="h-full overflow-auto px-4 py-[10vh]">
      <div className="mx-auto max-w-xl">
        <h2 className="text-xl font-semibold">Open a terminal</h2>
        <p className="mt-1 mb-4 text-sm text-muted">
          Choose a machine. The gateway logs in for you; you never see a password or a key.
        </p>
        <div className="overflow-hidden rounded-xl border border-line bg-surface">
          <TargetList />
        </div>
        <p className="mt-3 text-xs text-faint max-sm:hidden">
          Ctrl Shift Enter opens another one, Ctrl Shift E and S split, Ctrl Shift F finds, Ctrl Shift K opens the palette.
        </p>
      </div>
    </div>
  )
}

const resume = (session: Session) =>
  void (session.target_id && workspace.open(session.target_id, session.credential_id, session.reason, session.id))

const LOOK_EVERY_MS = 10_000

/** Sessions that were left open elsewhere and can be continued here. */
function OpenSessions() {
  const { elsewhere } = useWorkspace()
  const attended = useAttended()
  const now = useNow()
  const some = elsewhere.length > 0
  useEffect(() => {
    const look = () => void (document.visibilityState === 'visible' && workspace.findElsewhere())
    const timer = some && attended ? setInterval(look, LOOK_EVERY_MS) : undefined
    window.addEventListener('focus', look)
    document.addEventListener('visibilitychange', look)
    return () => {
      clearInterval(timer)
      window.removeEventListener('focus', look)
      document.removeEventListener('visibilitychange', look)
    }
  }, [some, attended])
  if (elsewhere.length === 0) return null
  return (
    <div role="status" className="flex h-9 shrink-0 items-center border-b border-line bg-info-soft pr-2 text-sm text-info-text">
      <div className="flex min-w-0 flex-1 items-center gap-2 overflow-x-auto px-3 whitespace-nowrap [scrollbar-width:none]">
        {elsewhere.length === 1 ? 'A session is still open:' : `${elsewhere.length} sessions are still open:`}
        {elsewhere.length > 1 && (
          <Button className="h-6 shrink-0 px-2 text-xs" onClick={() => [...elsewhere].toReversed().forEach(resume)}>
            Resume all
          </Button>
        )}
        {elsewhere.map((session) => (
          <Button
            key={session.id}
            className="h-6 shrink-0 px-2 text-xs"
            title={`Begun ${formatExact(session.start_time)}`}
            onClick={() => resume(session)}
          >
            Resume {session.target_name}{' '}
            <span className="font-normal text-muted">
              {session.credential_name}, {formatRelative(session.start_time, now)}
            </span>
          </Button>
        ))}
      </div>
      <Tool icon={X} label="Dismiss" className="ml-auto" onClick={() => workspace.dismissElsewhere()} />
    </div>
  )
}
