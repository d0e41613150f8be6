import type { LucideIcon } from 'lucide-react'
import type { ComponentProps, ReactNode } from 'react'
import { Dialog as RadixDialog, Tooltip } from 'radix-ui'
import type { Environment } from '@/api/types'
import { cn } from '@/lib/cn'
import { workspace } from '../model/workspace'

const BUTTON = {
  primary: 'bg-accent text-accent-fg hover:bg-accent-hover',
  secondary: 'border border-line bg-surface text-fg hover:bg-hover',
  danger: 'bg-danger text-accent-fg hover:bg-danger-hover',
}

/** A button with words on it. */
export function Button({ tone = 'secondary', className, ...rest }: ComponentProps<'button'> & { tone?: keyof typeof BUTTON }) {
  return (
    <button
      type="button"
      className={cn(
        'inline-flex h-8 items-center justify-center gap-1.5 rounded-md px-3 text-sm font-medium whitespace-nowrap disabled:opacity-50',
        BUTTON[tone],
        className,
      )}
      {...rest}
    />
  )
}

interface IconButtonProps extends ComponentProps<'button'> {
  icon: LucideIcon
  label: string
  keys?: string
}

/** A button that is an icon, with its name and its keys in a tip. */
export function IconButton({ icon: Icon, label, keys, className, ...rest }: IconButtonProps) {
  return (
    <Tooltip.Root>
      <Tooltip.Trigger asChild>
        <button
          type="button"
          aria-label={label}
          className={cn(
            'inline-grid size-6 shrink-0 place-items-center rounded text-muted hover:bg-hover hover:text-fg data-[state=open]:bg-hover',
            className,
          )}
          {...rest}
        >
          <Icon className="size-3.5" aria-hidden />
        </button>
      </Tooltip.Trigger>
      <Tooltip.Portal>
        <Tooltip.Content sideOffset={6} className="z-50 rounded-md bg-raised px-2 py-1 text-xs text-fg shadow-pop">
          {label}
          {keys && <kbd className="ml-2 font-sans text-faint">{keys}</kbd>}
        </Tooltip.Content>
      </Tooltip.Portal>
    </Tooltip.Root>
  )
}

const ENVIRONMENTS: Record<Environment, string> = {
  production: 'bg-danger-soft text-danger-text',
  staging: 'bg-warning-soft text-warning-text',
  development: 'bg-success-soft text-success-text',
}

/** Where one is about to type. */
export function EnvironmentBadge({ environment, className }: { environment: Environment | null | undefined; className?: string }) {
  if (!environment) return null
  return (
    <span className={cn('shrink-0 rounded px-1.5 text-2xs font-medium', ENVIRONMENTS[environment], className)}>
      {environment}
    </span>
  )
}

/** When a dialog goes, the keyboard belongs to the shell again. */
export function focusTerminal(event: Event) {
  event.preventDefault()
  workspace.activePane?.focus()
}

interface DialogProps {
  open: boolean
  onClose(): void
  title: string
  description?: ReactNode
  children?: ReactNode
  footer?: ReactNode
  wide?: boolean
}

/** A box over the workspace that keeps the focus until it is answered. */
export function Dialog({ open, onClose, title, description, children, footer, wide }: DialogProps) {
  return (
    <RadixDialog.Root open={open} onOpenChange={(next) => next || onClose()}>
      <RadixDialog.Portal>
        <RadixDialog.Overlay className="fixed inset-0 z-40 animate-fade bg-scrim" />
        <RadixDialog.Content
          onCloseAutoFocus={focusTerminal}
          className={cn(
            'fixed top-[12vh] left-1/2 z-50 flex max-h-[76vh] w-[calc(100vw-2rem)] -translate-x-1/2 flex-col overflow-hidden rounded-xl bg-raised shadow-pop outline-none',
            wide ? 'max-w-2xl' : 'max-w-md',
          )}
          {...(description ? {} : { 'aria-describedby': undefined })}
        >
          <div className="px-5 pt-4 pb-3">
            <RadixDialog.Title className="text-lg font-semibold">{title}</RadixDialog.Title>
            {description && <RadixDialog.Description className="mt-1 text-sm text-muted">{description}</RadixDialog.Description>}
          </div>
          {children && (
            <div data-scrollable className="min-h-0 overflow-auto px-5 pb-4">
              {children}
            </div>
          )}
          {footer && <div className="flex justify-end gap-2 border-t border-line bg-surface px-5 py-3">{footer}</div>}
        </RadixDialog.Content>
      </RadixDialog.Portal>
    </RadixDialog.Root>
  )
}

export const FIELD =
  'h-8 w-full rounded-md border border-line-strong bg-surface px-2.5 text-sm text-fg outline-none focus-visible:border-accent focus-visible:ring-1 focus-visible:ring-accent'
