import { Check, MoreHorizontal, type LucideIcon } from 'lucide-react'
import { DropdownMenu } from 'radix-ui'
import type { ComponentProps, ReactElement, ReactNode } from 'react'
import { cn } from '@/lib/cn'
import { IconButton } from './button'

const PANEL =
  'z-50 max-h-[min(28rem,var(--radix-dropdown-menu-content-available-height))] min-w-44 animate-rise overflow-y-auto rounded-lg bg-raised p-1 text-sm text-fg shadow-pop outline-none'
const ITEM =
  'flex h-8 cursor-default select-none items-center gap-2 rounded-md px-2 outline-none data-[disabled]:opacity-45 data-[highlighted]:bg-hover'

/** A menu under its trigger. */
export function Menu({ trigger, children, align = 'end', label }: { trigger: ReactElement; children: ReactNode; align?: 'start' | 'end'; label?: string }) {
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger asChild>{trigger}</DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content
          align={align}
          sideOffset={6}
          collisionPadding={8}
          aria-label={label}
          className={PANEL}
          onCloseAutoFocus={(event) => {
            // An item that opened a dialog has passed the focus on to it.
            if (document.activeElement?.closest('[role="dialog"]')) event.preventDefault()
          }}
        >
          {children}
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  )
}

interface MenuItemProps extends ComponentProps<typeof DropdownMenu.Item> {
  icon?: LucideIcon
  danger?: boolean
  hint?: ReactNode
}

/** One act of a menu. */
export function MenuItem({ icon: Icon, danger, hint, children, className, ...rest }: MenuItemProps) {
  const content = (
    <>
      {Icon && <Icon aria-hidden className="size-4 shrink-0 opacity-70" strokeWidth={1.75} />}
      <span className="min-w-0 flex-1 truncate">{children}</span>
      {hint}
    </>
  )
  return (
    <DropdownMenu.Item
      {...rest}
      className={cn(ITEM, danger && 'text-danger-text data-[highlighted]:bg-danger-soft', className)}
    >
      {rest.asChild ? children : content}
    </DropdownMenu.Item>
  )
}

/** One choice that is on or off. */
export function MenuCheck({ checked, onChange, children, keepOpen }: { checked: boolean; onChange: (checked: boolean) => void; children: ReactNode; keepOpen?: boolean }) {
  return (
    <DropdownMenu.CheckboxItem
      checked={checked}
      onCheckedChange={onChange}
      onSelect={keepOpen ? (event) => event.preventDefault() : undefined}
      className={ITEM}
    >
      <span className="grid size-4 place-items-center">
        <DropdownMenu.ItemIndicator>
          <Check aria-hidden className="size-3.5 text-accent-text" />
        </DropdownMenu.ItemIndicator>
      </span>
      <span className="min-w-0 flex-1 truncate">{children}</span>
    </DropdownMenu.CheckboxItem>
  )
}

export const MenuSeparator = () => <DropdownMenu.Separator className="-mx-1 my-1 h-px bg-line" />
export const MenuLabel = ({ children }: { children: ReactNode }) => (
  <DropdownMenu.Label className="px-2 py-1.5 text-2xs font-medium text-faint">{children}</DropdownMenu.Label>
)

/** The three dots at the end of a row or a header. */
export function MoreMenu({ label, children }: { label: string; children: ReactNode }) {
  return (
    <Menu label={label} trigger={<IconButton icon={MoreHorizontal} label={label} size="sm" bare className="relative z-10" />}>
      {children}
    </Menu>
  )
}
