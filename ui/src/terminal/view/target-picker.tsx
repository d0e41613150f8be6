import { useQuery } from '@tanstack/react-query'
import { Command } from 'cmdk'
import { Dialog as RadixDialog } from 'radix-ui'
import { useDeferredValue, useState } from 'react'
import { EnvironmentBadge } from '@/components/badge'
import { cn } from '@/lib/cn'
import { workspace } from '../model/workspace'
import { searchTargets } from '../services'
import { focusTerminal } from './parts'

/** Finds a target by typing and opens it in a new tab. */
export function TargetPicker({ open }: { open: boolean }) {
  return (
    <RadixDialog.Root open={open} onOpenChange={(picking) => workspace.show({ picking })}>
      <RadixDialog.Portal>
        <RadixDialog.Overlay className="fixed inset-0 z-40 animate-fade bg-scrim" />
        <RadixDialog.Content
          aria-describedby={undefined}
          onCloseAutoFocus={focusTerminal}
          className="fixed top-[12vh] left-1/2 z-50 w-[calc(100vw-2rem)] max-w-xl -translate-x-1/2 overflow-hidden rounded-xl bg-raised shadow-pop outline-none"
        >
          <RadixDialog.Title className="sr-only">Open a terminal</RadixDialog.Title>
          <TargetList />
        </RadixDialog.Content>
      </RadixDialog.Portal>
    </RadixDialog.Root>
  )
}

/** The list itself; also the empty workspace. */
export function TargetList() {
  const [text, setText] = useState('')
  const query = useDeferredValue(text.trim())
  const { data, error, isPending, isPlaceholderData, refetch } = useQuery({
    queryKey: ['targets', 'terminal-picker', query],
    queryFn: ({ signal }) => searchTargets(query, signal),
    placeholderData: (before) => before,
  })
  // INVARIANT: what Enter opens is what was typed, never a row of the list before it.
  const follows = !isPlaceholderData && query === text.trim()
  const targets = data?.items.filter((target) => target.protocol === 'ssh') ?? []
  return (
    <Command shouldFilter={false} label="Targets" className="flex flex-col">
      <Command.Input
        value={text}
        onValueChange={setText}
        autoFocus
        placeholder="Search targets by name, address or tag"
        className="h-12 w-full border-b border-line bg-transparent px-4 text-base text-fg outline-none"
      />
      <Command.List data-scrollable className="max-h-[50vh] overflow-auto p-1.5">
        {isPending && <p className="px-3 py-6 text-center text-sm text-muted">Loading targets…</p>}
        {error && (
          <p role="alert" className="px-3 py-6 text-center text-sm text-danger-text">
            {error.message}{' '}
            <button type="button" className="underline" onClick={() => void refetch()}>
              Try again
            </button>
          </p>
        )}
        {data && targets.length === 0 && (
          <Command.Empty className="px-3 py-6 text-center text-sm text-muted">
            {query ? `Nothing matches “${query}”.` : 'No target is open to you yet. Ask an administrator for access.'}
          </Command.Empty>
        )}
        {targets.map((target) => (
          <Command.Item
            key={target.id}
            value={target.id}
            disabled={!target.enabled}
            onSelect={() => follows && workspace.open(target.id, null, null)}
            className={cn('flex h-11 items-center gap-3 rounded-md px-3 data-[disabled=true]:opacity-50 data-[selected=true]:bg-hover', !follows && 'opacity-60')}
          >
            <span className="min-w-0 flex-1">
              <span className="block truncate text-sm font-medium text-fg">{target.name}</span>
              <span className="block truncate font-mono text-2xs text-faint">
                {target.host}
                {target.port === 22 ? '' : `:${target.port}`} · {target.zone.name}
              </span>
            </span>
            {!target.enabled && <span className="text-2xs text-faint">disabled</span>}
            <EnvironmentBadge environment={target.environment} />
          </Command.Item>
        ))}
      </Command.List>
    </Command>
  )
}
