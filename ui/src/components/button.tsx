import { LoaderCircle, type LucideIcon } from 'lucide-react'
import type { ComponentProps, ReactNode, Ref } from 'react'
import { cn } from '@/lib/cn'
import { Tip } from './tip'

const VARIANTS = {
  primary: 'bg-accent text-accent-fg hover:bg-accent-hover shadow-card forced-colors:bg-[Highlight] forced-colors:text-[HighlightText] forced-colors:forced-color-adjust-none',
  secondary: 'border bg-surface text-fg hover:bg-hover border-line-strong/70 shadow-card',
  ghost: 'text-muted hover:bg-hover hover:text-fg',
  danger: 'bg-danger text-white hover:bg-danger-hover',
  'danger-ghost': 'border border-line-strong/70 text-danger-text hover:bg-danger-soft',
}
const SIZES = {
  sm: 'h-7 gap-1.5 px-2.5 text-xs rounded-md',
  md: 'h-8 gap-2 px-3 text-sm rounded-md',
  lg: 'h-10 gap-2 px-4 text-base rounded-lg',
}

export type ButtonVariant = keyof typeof VARIANTS
export interface ButtonStyle {
  variant?: ButtonVariant
  size?: keyof typeof SIZES
}

/** The look of a button, for links that lead to an act. */
export const buttonClass = ({ variant = 'secondary', size = 'md' }: ButtonStyle = {}) =>
  cn(
    'inline-flex shrink-0 select-none items-center justify-center font-medium whitespace-nowrap transition-colors duration-100',
    'disabled:cursor-not-allowed disabled:opacity-50 aria-disabled:opacity-50 forced-colors:border',
    VARIANTS[variant],
    SIZES[size],
  )

interface ButtonProps extends ComponentProps<'button'>, ButtonStyle {
  icon?: LucideIcon
  /** Shows a spinner and refuses further clicks. */
  busy?: boolean
}

/** A button; never submits a form unless it says so. */
export function Button({ variant, size, icon: Icon, busy, children, className, disabled, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      disabled={disabled || busy}
      aria-busy={busy || undefined}
      className={cn(buttonClass({ variant, size }), className)}
    >
      {busy ? (
        <LoaderCircle aria-hidden className="size-3.5 animate-spin" />
      ) : (
        Icon && <Icon aria-hidden className="size-3.5" strokeWidth={2} />
      )}
      {children}
    </button>
  )
}

interface IconButtonProps extends Omit<ComponentProps<'button'>, 'children'> {
  icon: LucideIcon
  /** Said to those who do not see the icon, and shown on hover. */
  label: string
  size?: 'sm' | 'md'
  hint?: ReactNode
  /** Without the hover text, where it would cover what it opens. */
  bare?: boolean
  ref?: Ref<HTMLButtonElement>
}

/** A button that is only an icon. */
export function IconButton({ icon: Icon, label, size = 'md', hint, bare, className, ...rest }: IconButtonProps) {
  const button = (
    <button
      type="button"
      aria-label={label}
      {...rest}
      className={cn(
        'inline-grid shrink-0 place-items-center rounded-md text-muted transition-colors duration-100 hover:bg-hover hover:text-fg disabled:opacity-40 data-[state=open]:bg-hover data-[state=open]:text-fg',
        size === 'sm' ? 'size-7' : 'size-8',
        className,
      )}
    >
      <Icon aria-hidden className="size-4" strokeWidth={1.75} />
    </button>
  )
  return bare ? button : <Tip label={hint ?? label}>{button}</Tip>
}
