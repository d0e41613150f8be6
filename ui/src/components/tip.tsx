import { Tooltip } from 'radix-ui'
import type { ReactElement, ReactNode } from 'react'

/** A short explanation on hover and on keyboard focus. */
export function Tip({ label, side = 'bottom', children }: { label: ReactNode; side?: 'top' | 'right' | 'bottom' | 'left'; children: ReactElement }) {
  if (!label) return children
  return (
    <Tooltip.Root>
      <Tooltip.Trigger asChild>{children}</Tooltip.Trigger>
      <Tooltip.Portal>
        <Tooltip.Content
          side={side}
          sideOffset={6}
          collisionPadding={8}
          className="z-50 max-w-72 animate-fade rounded-md bg-raised px-2 py-1 text-xs text-fg shadow-pop"
        >
          {label}
        </Tooltip.Content>
      </Tooltip.Portal>
    </Tooltip.Root>
  )
}

/** A key or a chord, as it is drawn in hints. */
export function Keys({ children }: { children: ReactNode }) {
  return (
    <kbd className="rounded border border-line bg-sunken px-1 font-sans text-2xs font-medium text-faint">{children}</kbd>
  )
}
