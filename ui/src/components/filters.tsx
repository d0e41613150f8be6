import { CalendarDays, ChevronDown, Search, X } from 'lucide-react'
import { Popover } from 'radix-ui'
import { useCallback, useEffect, useRef, useState, type Ref } from 'react'
import { cn } from '@/lib/cn'
import { Menu, MenuCheck } from './menu'

interface SearchInputProps {
  value: string | undefined
  onChange: (value: string | undefined) => void
  placeholder: string
  className?: string
  ref?: Ref<HTMLInputElement>
}

/** Search as you type: what is typed shows at once, the list follows a moment later. */
export function SearchInput({ value, onChange, placeholder, className, ref }: SearchInputProps) {
  const [draft, setDraft] = useState(value ?? '')
  const sent = useRef(value ?? '')
  // A change from outside (a link, the back button) wins over the draft.
  useEffect(() => {
    if ((value ?? '') !== sent.current) {
      sent.current = value ?? ''
      setDraft(value ?? '')
    }
  }, [value])
  const send = useCallback(() => {
    if (draft === sent.current) return false
    sent.current = draft
    onChange(draft.trim() === '' ? undefined : draft.trim())
    return true
  }, [draft, onChange])
  useEffect(() => {
    const timer = setTimeout(send, 180)
    return () => clearTimeout(timer)
  }, [send])
  return (
    <span className={cn('relative block w-full sm:w-72', className)}>
      <Search aria-hidden className="pointer-events-none absolute top-2 left-2.5 size-4 text-faint" />
      <input
        ref={ref}
        type="search"
        value={draft}
        maxLength={200}
        onChange={(event) => setDraft(event.target.value)}
        // Who goes on to something else must not be brought back by what they typed before.
        onBlur={send}
        onKeyDown={(event) => event.key === 'Enter' && send()}
        placeholder={placeholder}
        aria-label={placeholder}
        className="h-8 w-full rounded-md border bg-surface pr-7 pl-8 text-sm shadow-card hover:border-line-strong [&::-webkit-search-cancel-button]:hidden"
      />
      {draft !== '' && (
        <button type="button" aria-label="Clear search" onClick={() => setDraft('')} className="absolute top-1 right-1 grid size-6 place-items-center rounded text-faint hover:text-fg">
          <X aria-hidden className="size-3.5" />
        </button>
      )}
    </span>
  )
}

interface FilterChipProps<Value extends string> {
  label: string
  value: Value | undefined
  options: { value: Value; label: string }[]
  onChange: (value: Value | undefined) => void
}

/** One filter of a list; set, it shows what it is set to and can be taken away. */
export function FilterChip<Value extends string>({ label, value, options, onChange }: FilterChipProps<Value>) {
  const chosen = options.find((option) => option.value === value)
  const set = value !== undefined
  return (
    <span
      className={cn(
        'inline-flex h-8 max-w-64 items-center rounded-md border text-sm',
        set ? 'border-accent/40 bg-accent-soft text-accent-text' : 'border-dashed border-line-strong text-muted',
      )}
    >
      <Menu
        align="start"
        label={label}
        trigger={
          <button type="button" className={cn('inline-flex h-full min-w-0 items-center gap-1.5 rounded-md px-2.5 hover:text-fg', set && 'pr-1.5')}>
            <span className="truncate">{set ? `${label}: ${chosen?.label ?? value}` : label}</span>
            {!set && <ChevronDown aria-hidden className="size-3.5 shrink-0" />}
          </button>
        }
      >
        {options.length === 0 && <p className="px-2 py-1.5 text-sm text-faint">Nothing to choose</p>}
        {options.map((option) => (
          <MenuCheck
            key={option.value}
            checked={option.value === value}
            onChange={(checked) => onChange(checked ? option.value : undefined)}
          >
            {option.label}
          </MenuCheck>
        ))}
      </Menu>
      {set && (
        <button type="button" aria-label={`Remove filter ${label}`} onClick={() => onChange(undefined)} className="grid h-full w-7 place-items-center hover:text-fg">
          <X aria-hidden className="size-3.5" />
        </button>
      )}
    </span>
  )
}

/** A filter that is on or off. */
export function ToggleChip({ label, on, onChange }: { label: string; on: boolean; onChange: (on: boolean) => void }) {
  return (
    <button
      type="button"
      aria-pressed={on}
      onClick={() => onChange(!on)}
      className={cn(
        'h-8 rounded-md border px-2.5 text-sm',
        on ? 'border-accent/40 bg-accent-soft text-accent-text' : 'border-dashed border-line-strong text-muted hover:text-fg',
      )}
    >
      {label}
    </button>
  )
}

interface DateRange {
  from?: string
  to?: string
}

const DATE_INPUT = 'h-8 w-full rounded-md border border-line-strong/70 bg-surface px-2 text-sm text-fg dark:[color-scheme:dark]'

/** From one day of the calendar to another, both included. */
export function DateRangeChip({ label, value, onChange }: { label: string; value: DateRange; onChange: (value: DateRange) => void }) {
  const { from, to } = value
  const set = from !== undefined || to !== undefined
  const said = from && to ? (from === to ? from : `${from} to ${to}`) : from ? `from ${from}` : `until ${to}`
  const day = (name: 'from' | 'to', text: string, limits: { min?: string; max?: string }) => (
    <label className="flex flex-col gap-1 text-xs text-muted">
      {text}
      <input type="date" className={DATE_INPUT} value={value[name] ?? ''} {...limits} onChange={(event) => onChange({ ...value, [name]: event.target.value || undefined })} />
    </label>
  )
  return (
    <span
      className={cn(
        'inline-flex h-8 max-w-80 items-center rounded-md border text-sm',
        set ? 'border-accent/40 bg-accent-soft text-accent-text' : 'border-dashed border-line-strong text-muted',
      )}
    >
      <Popover.Root>
        <Popover.Trigger className={cn('inline-flex h-full min-w-0 items-center gap-1.5 rounded-md px-2.5 hover:text-fg', set && 'pr-1.5')}>
          <CalendarDays aria-hidden className="size-3.5 shrink-0" />
          <span className="truncate">{set ? `${label}: ${said}` : label}</span>
        </Popover.Trigger>
        <Popover.Portal>
          <Popover.Content align="start" sideOffset={6} collisionPadding={8} className="z-50 flex w-56 animate-rise flex-col gap-3 rounded-lg bg-raised p-3 shadow-pop">
            {day('from', 'First day', { max: to })}
            {day('to', 'Last day', { min: from })}
          </Popover.Content>
        </Popover.Portal>
      </Popover.Root>
      {set && (
        <button type="button" aria-label={`Remove filter ${label}`} onClick={() => onChange({})} className="grid h-full w-7 place-items-center hover:text-fg">
          <X aria-hidden className="size-3.5" />
        </button>
      )}
    </span>
  )
}
