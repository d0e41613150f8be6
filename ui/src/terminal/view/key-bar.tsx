import { ArrowDown, ArrowLeft, ArrowRight, ArrowUp, type LucideIcon } from 'lucide-react'
import { cn } from '@/lib/cn'
import type { PaneController } from '../pane/controller'
import type { ExtraKey } from '../pane/extra-keys'
import { usePaneState } from './use-workspace'

const KEYS: { key: ExtraKey; label: string; icon?: LucideIcon }[] = [
  { key: 'escape', label: 'Esc' },
  { key: 'tab', label: 'Tab' },
  { key: 'left', label: 'Left', icon: ArrowLeft },
  { key: 'down', label: 'Down', icon: ArrowDown },
  { key: 'up', label: 'Up', icon: ArrowUp },
  { key: 'right', label: 'Right', icon: ArrowRight },
]
const KEY = 'grid h-9 min-w-10 flex-1 place-items-center rounded-md border border-line bg-raised text-sm text-fg active:bg-pressed'

/** The keys that the keyboard of a phone does not have. */
export function KeyBar({ pane }: { pane: PaneController }) {
  const { control } = usePaneState(pane)
  return (
    <div role="toolbar" aria-label="Keys" className="hidden shrink-0 gap-1 border-t border-line bg-surface p-1 pointer-coarse:flex">
      <button
        type="button"
        aria-pressed={control}
        // The keyboard stays up: the terminal keeps the focus.
        onPointerDown={(event) => event.preventDefault()}
        onClick={() => pane.holdControl(!control)}
        className={cn(KEY, control && 'border-accent bg-accent-soft text-accent-text')}
      >
        Ctrl
      </button>
      {KEYS.map(({ key, label, icon: Icon }) => (
        <button key={key} type="button" aria-label={label} onPointerDown={(event) => event.preventDefault()} onClick={() => pane.press(key)} className={KEY}>
          {Icon ? <Icon aria-hidden className="size-4" /> : label}
        </button>
      ))}
    </div>
  )
}
