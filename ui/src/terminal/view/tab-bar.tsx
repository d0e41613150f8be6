import { Circle, Copy, LayoutGrid, Pencil, Plus, Settings2, X } from 'lucide-react'
import { Link } from '@tanstack/react-router'
import { ContextMenu } from 'radix-ui'
import { useEffect, useRef, useState } from 'react'
import { cn } from '@/lib/cn'
import { activateTab, colourTab, moveTab, panesOf, renameTab, type Tab, TAB_COLOURS, type TabColour } from '../model/layout'
import { workspace } from '../model/workspace'
import { Tool } from './parts'
import { useWorkspace } from './use-workspace'

const DOTS: Record<TabColour, string> = {
  grey: 'bg-faint',
  blue: 'bg-info',
  green: 'bg-success',
  amber: 'bg-warning',
  violet: 'bg-accent',
  pink: 'bg-[oklch(0.7_0.17_350)]',
}

interface TabFacts {
  label: string
  production: boolean
  lost: boolean
  ended: boolean
  unseen: boolean
  count: number
}

function factsOf(tab: Tab): TabFacts {
  const panes = panesOf(tab.root).flatMap((id) => workspace.pane(id)?.state ?? [])
  const active = workspace.pane(tab.activePane)?.state
  return {
    label: tab.name ?? active?.target?.name ?? 'Connecting…',
    production: panes.some((pane) => pane.target?.environment === 'production'),
    lost: panes.some((pane) => pane.connection.phase === 'waiting'),
    ended: panes.length > 0 && panes.every((pane) => pane.connection.phase === 'ended'),
    unseen: panes.some((pane) => pane.unseen),
    count: panes.length,
  }
}

/** The open tabs, and the way to a new one. */
export function TabBar() {
  const { layout } = useWorkspace()
  const [dragged, setDragged] = useState<string | null>(null)
  const [renaming, setRenaming] = useState<string | null>(null)
  return (
    <header className="flex h-10 shrink-0 items-stretch border-b border-line bg-sunken">
      <Link
        to="/"
        aria-label="Back to the launcher"
        title="Back to the launcher; sessions stay open"
        className="grid w-11 shrink-0 place-items-center border-r border-line text-muted hover:bg-hover hover:text-fg"
      >
        <LayoutGrid className="size-4" aria-hidden />
      </Link>
      {/* A list of tabs may hold nothing but tabs: it owns them, wherever they are. */}
      <div role="tablist" aria-label="Terminals" aria-owns={layout.tabs.map((tab) => `tab-${tab.id}`).join(' ')} />
      <div className="flex min-w-0 flex-1 items-stretch scroll-pr-10 overflow-x-auto [scrollbar-width:none]">
        {layout.tabs.map((tab, index) => (
          <TabHandle
            key={tab.id}
            tab={tab}
            selected={tab.id === layout.activeTab}
            renaming={renaming === tab.id}
            onRename={(on) => setRenaming(on ? tab.id : null)}
            onDragStart={() => setDragged(tab.id)}
            onDropHere={() => {
              if (dragged) workspace.change((now) => moveTab(now, dragged, index))
              setDragged(null)
            }}
          />
        ))}
        <Tool
          icon={Plus}
          label="New terminal"
          keys="Ctrl Shift Enter"
          className="sticky right-0 size-8 self-center rounded-none bg-sunken px-1.5"
          onClick={() => workspace.show({ picking: true })}
        />
      </div>
      <Tool
        icon={Settings2}
        label="Terminal settings"
        keys="Ctrl Shift ,"
        className="mx-2 size-7 self-center"
        onClick={() => workspace.show({ settings: true })}
      />
    </header>
  )
}

interface TabHandleProps {
  tab: Tab
  selected: boolean
  renaming: boolean
  onRename(on: boolean): void
  onDragStart(): void
  onDropHere(): void
}

function TabHandle({ tab, selected, renaming, onRename, onDragStart, onDropHere }: TabHandleProps) {
  const facts = factsOf(tab)
  const element = useRef<HTMLDivElement>(null)
  useEffect(() => {
    if (selected) element.current?.scrollIntoView({ block: 'nearest', inline: 'nearest' })
  }, [selected])
  // What is typed next goes to the terminal, also where the tab was the active one already.
  const select = () => (selected ? workspace.activePane?.focus() : workspace.change((layout) => activateTab(layout, tab.id)))
  return (
    <ContextMenu.Root>
      <ContextMenu.Trigger asChild>
        <div
          ref={element}
          draggable={!renaming}
          onDragStart={(event) => {
            event.dataTransfer.effectAllowed = 'move'
            event.dataTransfer.setData('text/plain', facts.label)
            onDragStart()
          }}
          onDragOver={(event) => event.preventDefault()}
          onDrop={(event) => {
            event.preventDefault()
            onDropHere()
          }}
          onAuxClick={(event) => event.button === 1 && workspace.requestClose(panesOf(tab.root))}
          className={cn(
            'group relative flex max-w-56 min-w-28 shrink-0 items-center border-r border-line text-sm',
            selected ? 'bg-surface text-fg' : 'text-muted hover:bg-hover hover:text-fg',
            facts.production && 'shadow-[inset_0_0_0_1px_var(--danger)]',
            facts.production && selected && 'bg-danger-soft',
          )}
        >
          <span
            aria-hidden
            className={cn(
              'absolute inset-x-0 top-0 h-0.5',
              facts.production ? 'bg-danger' : selected ? 'bg-accent' : 'bg-transparent',
            )}
          />
          {renaming ? (
            <input
              aria-label="Name of the tab"
              defaultValue={facts.label}
              maxLength={60}
              ref={(input) => input?.select()}
              onBlur={(event) => {
                workspace.change((layout) => renameTab(layout, tab.id, event.target.value))
                onRename(false)
              }}
              onKeyDown={(event) => {
                if (event.key === 'Enter') event.currentTarget.blur()
                if (event.key === 'Escape') onRename(false)
              }}
              className="mx-2 h-6 w-40 min-w-0 rounded border border-line-strong bg-surface px-1.5 text-sm outline-none"
            />
          ) : (
            <button
              type="button"
              role="tab"
              id={`tab-${tab.id}`}
              aria-selected={selected}
              onClick={select}
              onDoubleClick={() => onRename(true)}
              className="flex h-full min-w-0 flex-1 items-center gap-2 pr-1 pl-3 text-left -outline-offset-2"
            >
              {tab.colour && <span aria-hidden className={cn('size-2 shrink-0 rounded-full', DOTS[tab.colour])} />}
              <span className={cn('truncate', facts.ended && 'line-through', facts.ended && !facts.production && 'text-faint')}>{facts.label}</span>
              {facts.count > 1 && <span className="text-2xs text-muted">{facts.count}</span>}
              {facts.lost && <span className="size-1.5 shrink-0 rounded-full bg-warning" title="Reconnecting" />}
              {facts.unseen && !selected && <Circle className="size-2 shrink-0 fill-accent text-accent" aria-label="Bell" />}
              {facts.production && <span className="sr-only">production</span>}
            </button>
          )}
          <Tool
            icon={X}
            label={`Close ${facts.label}`}
            className={cn('mr-1 size-6', !selected && 'opacity-0 group-hover:opacity-100 focus-visible:opacity-100')}
            onClick={() => workspace.requestClose(panesOf(tab.root))}
          />
        </div>
      </ContextMenu.Trigger>
      <ContextMenu.Portal>
        <ContextMenu.Content className="z-50 min-w-48 rounded-lg bg-raised p-1 text-sm shadow-pop">
          <MenuItem icon={Pencil} onSelect={() => setTimeout(() => onRename(true))}>
            Rename
          </MenuItem>
          <MenuItem
            icon={Copy}
            onSelect={() => {
              const pane = workspace.pane(tab.activePane)
              if (pane) workspace.duplicate(pane, 'tab')
            }}
          >
            Duplicate session
          </MenuItem>
          <div className="flex items-center gap-1 px-2 py-1.5" role="group" aria-label="Colour">
            {TAB_COLOURS.map((colour) => (
              <ContextMenu.Item
                key={colour}
                aria-label={colour}
                onSelect={() => workspace.change((layout) => colourTab(layout, tab.id, tab.colour === colour ? null : colour))}
                className="grid size-6 place-items-center rounded outline-none data-highlighted:bg-hover"
              >
                <span className={cn('size-3 rounded-full', DOTS[colour], tab.colour === colour && 'ring-2 ring-fg ring-offset-2 ring-offset-raised')} />
              </ContextMenu.Item>
            ))}
          </div>
          <MenuItem icon={X} onSelect={() => workspace.requestClose(panesOf(tab.root))}>
            Close
          </MenuItem>
        </ContextMenu.Content>
      </ContextMenu.Portal>
    </ContextMenu.Root>
  )
}

function MenuItem({ icon: Icon, children, onSelect }: { icon: typeof X; children: string; onSelect(): void }) {
  return (
    <ContextMenu.Item
      onSelect={onSelect}
      className="flex h-8 items-center gap-2 rounded-md px-2 text-fg outline-none data-highlighted:bg-hover"
    >
      <Icon className="size-3.5 text-muted" aria-hidden />
      {children}
    </ContextMenu.Item>
  )
}
