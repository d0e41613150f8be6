import { Columns2, Copy, Rows2, Search, X } from 'lucide-react'
import { useEffect, useRef } from 'react'
import { Badge, EnvironmentBadge } from '@/components/badge'
import { cn } from '@/lib/cn'
import { themeOf } from '../model/themes'
import { workspace } from '../model/workspace'
import type { PaneController } from '../pane/controller'
import { useTheme } from '@/lib/theme'
import { FindBar } from './find-bar'
import { EndedOverlay, NoticeBanner, ReconnectBanner, SetupOverlay, SilenceBanner, TransferBanner, WaitOverlay } from './overlays'
import { InputRequests, Participants } from './participants'
import { Tool } from './parts'
import { usePaneState, useWorkspace } from './use-workspace'

/** One terminal with its label, and whatever has to be said over it. */
export function Pane({ pane, active, alone }: { pane: PaneController; active: boolean; alone: boolean }) {
  const state = usePaneState(pane)
  const { preferences, finding } = useWorkspace()
  const { resolved } = useTheme()
  const place = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const element = place.current
    if (!element) return undefined
    pane.show(element)
    return () => pane.hide(element)
  }, [pane])
  useEffect(() => {
    if (active && !state.asks) pane.focus()
  }, [active, pane, state.asks])
  const { target, connection } = state
  const credential = target?.credentials.find((item) => item.id === state.credentialId)
  const production = target?.environment === 'production'
  const background = themeOf(preferences.theme, resolved).colours.background
  return (
    <section
      aria-label={`Terminal ${target?.name ?? ''}`}
      data-pane={pane.id}
      className={cn('relative flex h-full w-full min-w-0 flex-col', production && 'border-t-2 border-danger')}
    >
      <div
        className={cn(
          '@container flex h-7 shrink-0 items-center gap-2 overflow-hidden border-b pr-1 pl-3 text-xs',
          production ? 'border-line bg-danger-soft' : 'border-line bg-surface',
          !alone && !active && 'opacity-75',
        )}
      >
        {!alone && <span aria-hidden className={cn('size-1.5 shrink-0 rounded-full', active ? 'bg-accent' : 'bg-line-strong')} />}
        {/* What is least known goes first: the title, the address, the label; the name stays longest. */}
        <span className="min-w-16 shrink truncate font-medium text-fg" title={target?.name}>
          {target?.name ?? '…'}
        </span>
        <span className="hidden shrink-0 @xs:inline-flex">
          {production ? <Badge className="bg-danger text-white uppercase">Production</Badge> : <EnvironmentBadge environment={target?.environment} />}
        </span>
        <span className="hidden min-w-0 shrink-[20] truncate font-mono text-muted @md:inline">
          {target && credential ? `${credential.username}@${target.host}${target.port === 22 ? '' : `:${target.port}`}` : target?.host}
        </span>
        {state.title && alone && <span className="hidden min-w-0 shrink-[40] truncate text-muted @2xl:inline">{state.title}</span>}
        <span className="ml-auto flex shrink-0 items-center">
          <Participants pane={pane} />
          <Tool icon={Search} label="Find" keys="Ctrl Shift F" onClick={() => workspace.show({ finding: pane.id })} className="hidden @3xs:inline-grid" />
          <Tool icon={Copy} label="Duplicate session" keys="Ctrl Shift D" onClick={() => workspace.duplicate(pane, 'tab')} className="hidden @3xs:inline-grid" />
          <Tool icon={Columns2} label="Split to the right" keys="Ctrl Shift E" onClick={() => workspace.duplicate(pane, 'row')} className="hidden @xs:inline-grid max-sm:hidden" />
          <Tool icon={Rows2} label="Split downwards" keys="Ctrl Shift S" onClick={() => workspace.duplicate(pane, 'column')} className="hidden @xs:inline-grid max-sm:hidden" />
          <Tool icon={X} label="Close" keys="Ctrl Shift X" onClick={() => workspace.requestClose([pane.id])} />
        </span>
      </div>
      {connection.phase === 'waiting' && <ReconnectBanner connection={connection} onNow={() => pane.retryNow()} />}
      {state.silentSince !== null && connection.phase === 'open' && <SilenceBanner since={state.silentSince} onNow={() => (pane.refreshConnection(), pane.focus())} />}
      {state.notice && connection.phase !== 'ended' && <NoticeBanner notice={state.notice} onClose={() => pane.dismissNotice()} />}
      <InputRequests pane={pane} />
      {state.transfer && <TransferBanner progress={state.transfer} />}
      <div className="relative min-h-0 flex-1" style={{ background }}>
        <div ref={place} inert={state.asks !== null} className="absolute inset-0 overflow-hidden py-1 pl-2" />
        {finding === pane.id && <FindBar pane={pane} found={state.find} />}
        {(connection.phase === 'checking' || connection.phase === 'connecting') && (
          <WaitOverlay name={target?.name} resuming={connection.phase === 'connecting' && connection.resuming} />
        )}
        {state.asks && target && <SetupOverlay pane={pane} target={target} asks={state.asks} />}
        {connection.phase === 'ended' && <EndedOverlay pane={pane} ending={connection.ending} blank={state.stats.bytesReceived === 0} />}
      </div>
    </section>
  )
}
