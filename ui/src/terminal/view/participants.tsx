import { Eye, Keyboard, Users } from 'lucide-react'
import { Popover } from 'radix-ui'
import { Button } from '@/components/button'
import { cn } from '@/lib/cn'
import type { PaneController } from '../pane/controller'
import { usePaneState } from './use-workspace'

/** Who else sees this session, and who types in it; nothing where nobody does. */
export function Participants({ pane }: { pane: PaneController }) {
  const { participants } = usePaneState(pane)
  const { watching, joined } = participants
  const count = watching.length + joined.length
  if (count === 0) return null
  const typing = joined.find(({ input }) => input === 'granted')
  const only = watching[0] ?? joined[0]?.name ?? ''
  const label = typing ? `${typing.name} may type` : count === 1 ? `${only} ${joined.length === 1 ? 'joined' : 'watches'}` : `${count} people are here`
  return (
    <Popover.Root>
      <Popover.Trigger
        className={cn(
          'mr-1 inline-flex h-5 max-w-48 items-center gap-1.5 rounded-md px-1.5 text-2xs font-medium',
          typing ? 'bg-warning-soft text-warning-text' : 'bg-info-soft text-info-text',
        )}
      >
        {typing ? <Keyboard aria-hidden className="size-3 shrink-0" /> : <Eye aria-hidden className="size-3 shrink-0" />}
        <span className="truncate">{label}</span>
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Content align="end" sideOffset={6} collisionPadding={8} className="z-50 w-72 animate-rise rounded-lg bg-raised p-3 text-sm text-fg shadow-pop">
          <h3 className="mb-2 flex items-center gap-2 font-medium">
            <Users aria-hidden className="size-4 text-muted" /> Who is in this session
          </h3>
          <ul className="flex flex-col gap-1.5">
            {watching.map((name, index) => (
              // oxlint-disable-next-line react/no-array-index-key -- one person may watch in two windows
              <li key={`${name}-${index}`} className="flex min-h-7 items-center gap-2">
                <span className="min-w-0 flex-1 truncate">{name}</span>
                <span className="text-xs text-muted">watches</span>
              </li>
            ))}
            {joined.map(({ participant, name, input }) => (
              <li key={participant} className="flex min-h-7 items-center gap-2">
                <span className="min-w-0 flex-1 truncate">{name}</span>
                <span className="text-xs text-muted">{input === 'granted' ? 'may type' : input === 'asked' ? 'asks to type' : 'joined'}</span>
                {input === 'granted' && (
                  <Button size="sm" onClick={() => pane.allowInput(participant, false)}>
                    Take back
                  </Button>
                )}
              </li>
            ))}
          </ul>
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  )
}

/** Whoever asks to type, and those who may: a person must see at any time whose keys go to their target. */
export function InputRequests({ pane }: { pane: PaneController }) {
  const { participants } = usePaneState(pane)
  return participants.joined
    .filter(({ input }) => input !== 'none')
    .map(({ participant, name, input }) => (
      <div
        key={participant}
        role={input === 'asked' ? 'alert' : 'status'}
        className="flex shrink-0 flex-wrap items-center gap-2 bg-warning-soft px-3 py-1 text-xs text-warning-text"
      >
        <Keyboard aria-hidden className="size-3.5 shrink-0" />
        <span className="min-w-0 flex-1">
          {input === 'asked' ? `${name} asks to type in this session.` : `${name} may type in this session. What they do is done in your name.`}
        </span>
        {input === 'asked' ? (
          <>
            <Button size="sm" onClick={() => pane.allowInput(participant, false)}>
              Refuse
            </Button>
            <Button size="sm" variant="primary" onClick={() => pane.allowInput(participant, true)}>
              Allow
            </Button>
          </>
        ) : (
          <Button size="sm" onClick={() => pane.allowInput(participant, false)}>
            Take back
          </Button>
        )}
      </div>
    ))
}
