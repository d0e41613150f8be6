import { ChevronDown, CircleAlert } from 'lucide-react'
import { Checkbox as RadixCheckbox, Switch as RadixSwitch } from 'radix-ui'
import { createContext, use, useId, useMemo, type ComponentProps, type ReactNode } from 'react'
import { cn } from '@/lib/cn'

interface FieldIds {
  id: string
  help: string | undefined
  error: string | undefined
}
const FieldContext = createContext<FieldIds | null>(null)

interface FieldProps {
  label: ReactNode
  help?: ReactNode
  error?: string
  optional?: boolean
  className?: string
  children: ReactNode
}

/** Label above, help under, the error next to the field; the control inside finds its ids by itself. */
export function Field({ label, help, error, optional, className, children }: FieldProps) {
  const id = useId()
  const hasHelp = Boolean(help)
  const hasError = Boolean(error)
  const ids = useMemo(
    () => ({ id, help: hasHelp ? `${id}-help` : undefined, error: hasError ? `${id}-error` : undefined }),
    [id, hasHelp, hasError],
  )
  return (
    <div data-field className={className}>
      <label htmlFor={id} className="mb-1.5 flex items-baseline gap-2 text-sm font-medium text-fg">
        {label}
        {optional && <span className="text-xs font-normal text-faint">optional</span>}
      </label>
      <FieldContext value={ids}>{children}</FieldContext>
      {error && (
        <p id={ids.error} className="mt-1.5 flex gap-1.5 text-xs text-danger-text">
          <CircleAlert aria-hidden className="mt-0.5 size-3.5 shrink-0" />
          {error}
        </p>
      )}
      {help && (
        <p id={ids.help} className="mt-1.5 text-xs text-muted">
          {help}
        </p>
      )}
    </div>
  )
}

/** The attributes that tie a control to the field around it. */
export function useFieldProps() {
  const ids = use(FieldContext)
  if (!ids) return {}
  return {
    id: ids.id,
    'aria-describedby': [ids.error, ids.help].filter(Boolean).join(' ') || undefined,
    'aria-invalid': ids.error ? true : undefined,
  }
}

const CONTROL =
  'w-full rounded-md border border-line-strong bg-surface px-2.5 text-sm text-fg transition-colors duration-100 hover:border-line-strong focus-visible:border-ring focus-visible:outline-1 focus-visible:outline-offset-0 disabled:bg-sunken disabled:opacity-60 aria-invalid:border-danger'

/** One line of text; `suffix` names its unit. Text in any direction is shown in its own. */
export function Input({ className, suffix, ...rest }: ComponentProps<'input'> & { suffix?: string }) {
  const input = <input dir="auto" {...useFieldProps()} {...rest} className={cn(CONTROL, 'h-8', suffix && 'pr-11', className)} />
  if (!suffix) return input
  return (
    <span className={cn('relative block', className)}>
      {input}
      <span aria-hidden className="pointer-events-none absolute inset-y-0 right-3 grid place-items-center text-xs text-faint">
        {suffix}
      </span>
    </span>
  )
}

/** Several lines of text. */
export const Textarea = ({ className, ...rest }: ComponentProps<'textarea'>) => (
  <textarea dir="auto" {...useFieldProps()} {...rest} className={cn(CONTROL, 'min-h-16 resize-y py-1.5', className)} />
)

/** One of a few. The browser's own list: it is the one that works everywhere, phones included. */
export function Select({ className, children, ...rest }: ComponentProps<'select'>) {
  return (
    <span className={cn('relative block', className)}>
      <select {...useFieldProps()} {...rest} className={cn(CONTROL, 'h-8 appearance-none truncate pr-8')}>
        {children}
      </select>
      <ChevronDown aria-hidden className="pointer-events-none absolute top-2 right-2.5 size-4 text-faint" />
    </span>
  )
}

interface SwitchProps {
  checked: boolean
  onChange: (checked: boolean) => void
  label: ReactNode
  help?: ReactNode
  disabled?: boolean
}

/** On or off, with its label beside it. */
export function SwitchField({ checked, onChange, label, help, disabled }: SwitchProps) {
  const id = useId()
  return (
    <div className="flex items-start gap-3">
      <RadixSwitch.Root
        id={id}
        checked={checked}
        onCheckedChange={onChange}
        disabled={disabled}
        aria-describedby={help ? `${id}-help` : undefined}
        className="relative mt-0.5 h-[18px] w-8 shrink-0 rounded-full bg-line-strong transition-colors duration-100 data-[state=checked]:bg-accent disabled:opacity-50 forced-colors:border forced-colors:border-[ButtonText] forced-colors:bg-[ButtonFace] forced-colors:data-[state=checked]:bg-[Highlight] forced-colors:forced-color-adjust-none"
      >
        <RadixSwitch.Thumb className="block size-3.5 translate-x-0.5 rounded-full bg-white shadow transition-transform duration-100 data-[state=checked]:translate-x-4 forced-colors:bg-[ButtonText] forced-colors:data-[state=checked]:bg-[HighlightText]" />
      </RadixSwitch.Root>
      <div className="min-w-0">
        <label htmlFor={id} className="block text-sm font-medium text-fg">
          {label}
        </label>
        {help && (
          <p id={`${id}-help`} className="mt-0.5 text-xs text-muted">
            {help}
          </p>
        )}
      </div>
    </div>
  )
}

/** A box to tick, with its label beside it. */
export function CheckboxField({ checked, onChange, label, help, disabled }: SwitchProps) {
  const id = useId()
  return (
    <div className="flex items-start gap-2.5">
      <RadixCheckbox.Root
        id={id}
        checked={checked}
        onCheckedChange={(next) => onChange(next === true)}
        disabled={disabled}
        aria-describedby={help ? `${id}-help` : undefined}
        className="mt-0.5 grid size-4 shrink-0 place-items-center rounded border border-line-strong bg-surface data-[state=checked]:border-accent data-[state=checked]:bg-accent disabled:opacity-50"
      >
        <RadixCheckbox.Indicator>
          <svg viewBox="0 0 12 12" className="size-3 text-accent-fg" aria-hidden="true">
            <path d="M2.5 6.2 5 8.5l4.5-5" fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinecap="round" strokeLinejoin="round" />
          </svg>
        </RadixCheckbox.Indicator>
      </RadixCheckbox.Root>
      <div className="min-w-0">
        <label htmlFor={id} className="block text-sm text-fg">
          {label}
        </label>
        {help && (
          <p id={`${id}-help`} className="text-xs text-muted">
            {help}
          </p>
        )}
      </div>
    </div>
  )
}

/** A group of choices with a heading, as a fieldset. */
export function Choices({ legend, help, error, children }: { legend: string; help?: ReactNode; error?: string; children: ReactNode }) {
  return (
    <fieldset>
      <legend className="mb-1.5 text-sm font-medium text-fg">{legend}</legend>
      {children}
      {error && <p className="mt-1.5 text-xs text-danger-text">{error}</p>}
      {help && <p className="mt-1.5 text-xs text-muted">{help}</p>}
    </fieldset>
  )
}

interface RadioCardsProps<Value extends string> {
  legend: string
  name: string
  value: Value
  onChange: (value: Value) => void
  options: { value: Value; label: string; help?: string; disabled?: boolean }[]
  /** Gives the chosen one the focus at first, so that arrows choose and Enter goes on. */
  autoFocus?: boolean
}

/** One of two or three, each with a line about what it means. */
export function RadioCards<Value extends string>({ legend, name, value, onChange, options, autoFocus }: RadioCardsProps<Value>) {
  return (
    <Choices legend={legend}>
      <div className="grid gap-2">
        {options.map((option) => (
          <label
            key={option.value}
            className={cn(
              'flex cursor-pointer gap-2.5 rounded-lg border px-3 py-2 transition-colors has-focus-visible:outline-2 has-focus-visible:outline-ring',
              value === option.value ? 'border-accent bg-accent-soft/50' : 'hover:bg-hover',
              option.disabled && 'pointer-events-none opacity-50',
            )}
          >
            <input
              type="radio"
              name={name}
              value={option.value}
              checked={value === option.value}
              autoFocus={autoFocus && value === option.value}
              disabled={option.disabled}
              onChange={() => onChange(option.value)}
              className="mt-1 accent-(--accent) outline-none"
            />
            <span className="min-w-0">
              <span className="block text-sm font-medium">{option.label}</span>
              {option.help && <span className="block text-xs text-muted">{option.help}</span>}
            </span>
          </label>
        ))}
      </div>
    </Choices>
  )
}
