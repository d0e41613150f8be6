import { X } from 'lucide-react'
import { Dialog as Radix } from 'radix-ui'
import { useState, type ReactNode } from 'react'
import { cn } from '@/lib/cn'
import { IconButton } from './button'

interface DialogProps {
  open: boolean
  /** Asked to close: escape, a click outside, or the cross. */
  onClose: () => void
  title: string
  description?: ReactNode
  children: ReactNode
  footer?: ReactNode
  /** A panel at the side for forms, a box in the middle for questions. */
  as?: 'box' | 'panel'
  width?: string
  /** Takes the focus when the dialog goes, where it would not go back by itself. */
  onCloseAutoFocus?: (event: Event) => void
}

const SCRIM = 'fixed inset-0 z-50 animate-fade bg-scrim'
const BOX =
  'fixed top-1/2 left-1/2 z-50 flex max-h-[calc(100dvh-2rem)] w-[calc(100vw-1.5rem)] max-w-lg -translate-1/2 flex-col rounded-xl bg-raised shadow-pop outline-none animate-fade'
const PANEL =
  'fixed inset-y-0 right-0 z-50 flex w-full max-w-lg flex-col bg-raised shadow-pop outline-none animate-slide sm:inset-y-2 sm:right-2 sm:w-[calc(100vw-1rem)] sm:rounded-xl'

/** What had the focus before; of a menu that closes, the button that opened it. */
function focusedBefore(): HTMLElement | null {
  const active = document.activeElement
  const trigger = active?.closest('[role="menu"]')?.getAttribute('aria-labelledby')
  return (trigger ? document.getElementById(trigger) : active) as HTMLElement | null
}

/** What is marked as the first gets the focus. In a dialog over a dialog autoFocus cannot: the one below takes it back. */
function focusFirst(event: Event) {
  const first = (event.currentTarget as HTMLElement | null)?.querySelector<HTMLElement>('[data-first]')
  if (!first) return
  event.preventDefault()
  first.focus()
}

/** A dialog that traps focus and gives it back. */
export const Dialog = ({ open, ...rest }: DialogProps) => (open ? <OpenDialog {...rest} /> : null)

function OpenDialog({ onClose, title, description, children, footer, as = 'box', width, onCloseAutoFocus }: Omit<DialogProps, 'open'>) {
  // Asked while rendering: afterwards a field inside has it already.
  const [before] = useState(focusedBefore)
  const giveBack = (event: Event) => {
    // Radix gives it to a trigger, and there is none here.
    event.preventDefault()
    before?.focus()
  }
  return (
    <Radix.Root open onOpenChange={(next) => !next && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className={SCRIM} />
        <Radix.Content
          className={cn(as === 'box' ? BOX : PANEL, width)}
          onOpenAutoFocus={focusFirst}
          onCloseAutoFocus={onCloseAutoFocus ?? giveBack}
          {...(description ? {} : { 'aria-describedby': undefined })}
        >
          <header className={cn('flex items-start gap-3 px-5 pt-4', as === 'panel' ? 'border-b pb-3.5' : 'pb-1')}>
            <div className="min-w-0 flex-1 py-1">
              <Radix.Title className="text-base leading-5 font-semibold text-fg">{title}</Radix.Title>
              {description && <Radix.Description className="mt-1 text-sm text-muted">{description}</Radix.Description>}
            </div>
            <Radix.Close asChild>
              <IconButton icon={X} label="Close" size="sm" bare />
            </Radix.Close>
          </header>
          {children}
          {footer}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}

/** The part of a dialog that scrolls. */
export const DialogBody = ({ children, className }: { children: ReactNode; className?: string }) => (
  <div data-scrollable className={cn('min-h-0 flex-1 overflow-y-auto px-5 py-4', className)}>
    {children}
  </div>
)

/** The acts of a dialog, the one that goes on at the end. */
export const DialogFooter = ({ children, className }: { children: ReactNode; className?: string }) => (
  <footer className={cn('flex flex-wrap items-center justify-end gap-2 border-t px-5 py-3', className)}>{children}</footer>
)
