import { Popover } from 'radix-ui'
import { Command, defaultFilter } from 'cmdk'
import { Check, Plus, X } from 'lucide-react'
import { useState, type KeyboardEvent } from 'react'
import { cn } from '@/lib/cn'
import { useFieldProps } from './field'

const CHIP = 'inline-flex h-6 max-w-full items-center gap-1 rounded-md border bg-surface pl-2 text-xs text-fg'

function Chip({ label, onRemove }: { label: string; onRemove: () => void }) {
  return (
    <span className={CHIP}>
      <span className="truncate">{label}</span>
      <button type="button" aria-label={`Remove ${label}`} onClick={onRemove} className="grid size-6 place-items-center text-faint hover:text-fg">
        <X aria-hidden className="size-3" />
      </button>
    </span>
  )
}

interface Option {
  id: string
  label: string
  hint?: string
}

interface MultiPickProps {
  /** What is picked, as a plural: "groups". */
  noun: string
  options: Option[]
  value: string[]
  onChange: (value: string[]) => void
  loading?: boolean
}

/** Several of many: chips, and a list with a search. */
export function MultiPick({ noun, options, value, onChange, loading }: MultiPickProps) {
  const [open, setOpen] = useState(false)
  const field = useFieldProps()
  const byId = new Map(options.map((option) => [option.id, option]))
  const repeated = new Set(options.map(({ label }) => label).filter((label, index, all) => all.indexOf(label) !== index))
  // A chip says more only where its name alone could be another one's.
  const nameOf = (id: string) => {
    const option = byId.get(id)
    return option && option.hint && repeated.has(option.label) ? `${option.label} (${option.hint})` : option?.label
  }
  const toggle = (id: string) => onChange(value.includes(id) ? value.filter((other) => other !== id) : [...value, id])
  return (
    <div className="flex flex-wrap gap-1.5">
      {value.map((id) => (
        <Chip key={id} label={nameOf(id) ?? (loading ? '…' : id.slice(-8))} onRemove={() => toggle(id)} />
      ))}
      <Popover.Root open={open} onOpenChange={setOpen}>
        <Popover.Trigger {...field} className="inline-flex h-6 items-center gap-1 rounded-md border border-dashed border-line-strong px-2 text-xs text-muted hover:bg-hover hover:text-fg">
          <Plus aria-hidden className="size-3" /> Add {noun}
        </Popover.Trigger>
        <Popover.Portal>
          <Popover.Content align="start" sideOffset={6} collisionPadding={8} className="z-50 w-[min(26rem,var(--radix-popover-content-available-width))] animate-rise overflow-hidden rounded-lg bg-raised shadow-pop">
            {/* The value is an id, in which every few letters are found. */}
            <Command label={`Choose ${noun}`} filter={(_, text, words) => defaultFilter(words?.join(' ') ?? '', text)} className="outline-none">
              <Command.Input placeholder={`Find ${noun}…`} className="h-9 w-full border-b bg-transparent px-3 text-sm outline-none" />
              <Command.List data-scrollable className="max-h-64 overflow-y-auto p-1">
                <Command.Empty className="px-2 py-6 text-center text-sm text-muted">
                  {loading ? 'Loading…' : options.length === 0 ? `There are no ${noun} yet.` : 'Nothing matches.'}
                </Command.Empty>
                {options.map((option) => (
                  <Command.Item
                    key={option.id}
                    value={option.id}
                    keywords={[option.label, option.hint ?? '']}
                    onSelect={() => toggle(option.id)}
                    className="flex min-h-8 cursor-default items-center gap-2 rounded-md px-2 py-1 text-sm data-[selected=true]:bg-hover"
                  >
                    <Check aria-hidden className={cn('size-3.5 text-accent-text', !value.includes(option.id) && 'invisible')} />
                    <span className="min-w-0 flex-1 break-words">{option.label}</span>
                    {option.hint && <span className="max-w-[45%] truncate text-xs text-faint">{option.hint}</span>}
                  </Command.Item>
                ))}
              </Command.List>
            </Command>
          </Popover.Content>
        </Popover.Portal>
      </Popover.Root>
    </div>
  )
}

/** Free words as chips; enter or comma ends one. */
export function TagsInput({ value, onChange }: { value: string[]; onChange: (value: string[]) => void }) {
  const [draft, setDraft] = useState('')
  const field = useFieldProps()
  const add = () => {
    const tag = draft.trim()
    if (tag && !value.includes(tag)) onChange([...value, tag])
    setDraft('')
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if ((event.key === 'Enter' && draft.trim() !== '') || event.key === ',') {
      event.preventDefault()
      add()
    } else if (event.key === 'Backspace' && draft === '') {
      onChange(value.slice(0, -1))
    }
  }
  return (
    <div className="flex min-h-8 flex-wrap items-center gap-1 rounded-md border border-line-strong bg-surface p-1 focus-within:border-ring dark:border-line-strong/60">
      {value.map((tag) => (
        <Chip key={tag} label={tag} onRemove={() => onChange(value.filter((other) => other !== tag))} />
      ))}
      <input
        {...field}
        value={draft}
        maxLength={64}
        onChange={(event) => setDraft(event.target.value)}
        onKeyDown={onKeyDown}
        onBlur={add}
        className="h-6 min-w-24 flex-1 bg-transparent px-1.5 text-sm outline-none"
      />
    </div>
  )
}
