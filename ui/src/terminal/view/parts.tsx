import type { LucideIcon } from 'lucide-react'
import type { ComponentProps } from 'react'
import { IconButton } from '@/components/button'
import { Keys } from '@/components/tip'
import { cn } from '@/lib/cn'
import { workspace } from '../model/workspace'

interface ToolProps extends Omit<ComponentProps<'button'>, 'children'> {
  icon: LucideIcon
  label: string
  /** The keys that do the same. */
  keys?: string
}

/** A small button of the workspace's bars, with its keys in the tip. */
export function Tool({ label, keys, className, ...rest }: ToolProps) {
  const hint = keys && (
    <span className="flex items-center gap-2">
      {label}
      <Keys>{keys}</Keys>
    </span>
  )
  return <IconButton label={label} hint={hint} className={cn('size-6 [&_svg]:size-3.5', className)} {...rest} />
}

/** When a dialog goes, the keyboard belongs to the shell again. */
export function focusTerminal(event: Event) {
  event.preventDefault()
  workspace.activePane?.focus()
}
