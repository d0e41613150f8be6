import { Switch } from 'radix-ui'
import type { ReactNode } from 'react'
import { Dialog, DialogBody } from '@/components/dialog'
import { Input, Select } from '@/components/field'
import { cn } from '@/lib/cn'
import { useTheme } from '@/lib/theme'
import { FONTS, type FontChoice, LARGEST_FONT, SMALLEST_FONT, type TerminalPreferences } from '../model/preferences'
import { THEMES, themeOf } from '../model/themes'
import { workspace } from '../model/workspace'
import { focusTerminal } from './parts'
import { useWorkspace } from './use-workspace'

type Flag = 'copyOnSelect' | 'confirmPaste' | 'cursorBlink' | 'clipboardWrite' | 'screenReader'

const FLAGS: readonly { name: Flag; label: string; help: string }[] = [
  { name: 'copyOnSelect', label: 'Copy on select', help: 'Selected text goes to the clipboard at once.' },
  { name: 'confirmPaste', label: 'Ask before pasting several lines', help: 'Each line end would run a command.' },
  { name: 'clipboardWrite', label: 'Programs may copy', help: 'A program on a target may put text on your clipboard (OSC 52). It can never read it.' },
  { name: 'cursorBlink', label: 'Blinking cursor', help: 'Off where your system asks for less motion.' },
  { name: 'screenReader', label: 'Screen reader mode', help: 'Reads output aloud; slower with a lot of it.' },
]

const set = (change: Partial<TerminalPreferences>) => workspace.setPreferences(change)

/** How terminals look and behave, kept with the person. */
export function SettingsPanel({ open }: { open: boolean }) {
  const { preferences } = useWorkspace()
  const { resolved } = useTheme()
  return (
    <Dialog open={open} onClose={() => workspace.show({ settings: false })} onCloseAutoFocus={focusTerminal} title="Terminal settings" as="panel">
      <DialogBody className="grid content-start gap-5">
        <fieldset>
          <legend className="mb-1.5 text-xs font-medium text-muted">Colours</legend>
          <div className="grid grid-cols-2 gap-2 sm:grid-cols-3">
            {[{ id: 'auto', name: 'Like the console' }, ...THEMES].map(({ id, name }) => {
              const { colours } = themeOf(id, resolved)
              return (
                <button
                  key={id}
                  type="button"
                  aria-pressed={preferences.theme === id}
                  onClick={() => set({ theme: id })}
                  className={cn(
                    'overflow-hidden rounded-lg border text-left',
                    preferences.theme === id ? 'border-accent ring-1 ring-accent' : 'border-line hover:border-line-strong',
                  )}
                >
                  <span aria-hidden data-sample className="block px-2.5 py-2 font-mono text-2xs" style={{ background: colours.background, color: colours.foreground }}>
                    <span style={{ color: colours.green }}>~</span> <span style={{ color: colours.blue }}>src</span>{' '}
                    <span style={{ color: colours.red }}>err</span> <span style={{ color: colours.yellow }}>42</span>
                  </span>
                  <span className="block truncate px-2.5 py-1 text-xs">{name}</span>
                </button>
              )
            })}
          </div>
        </fieldset>
        <div className="grid grid-cols-2 gap-3">
          <Labelled label="Font">
            <Select value={preferences.font} onChange={(event) => set({ font: event.target.value as FontChoice })}>
              {Object.entries(FONTS).map(([id, font]) => (
                <option key={id} value={id}>
                  {font.name}
                </option>
              ))}
            </Select>
          </Labelled>
          <Labelled label="Size">
            <Input
              type="number"
              min={SMALLEST_FONT}
              max={LARGEST_FONT}
              value={preferences.fontSize}
              onChange={(event) => set({ fontSize: event.target.valueAsNumber })}
            />
          </Labelled>
          <Labelled label="Line height">
            <Select value={preferences.lineHeight} onChange={(event) => set({ lineHeight: Number(event.target.value) })}>
              {[1, 1.1, 1.2, 1.35, 1.5].map((height) => (
                <option key={height}>{height}</option>
              ))}
            </Select>
          </Labelled>
          <Labelled label="Lines kept">
            <Select value={preferences.scrollback} onChange={(event) => set({ scrollback: Number(event.target.value) })}>
              {[1000, 5000, 10_000, 50_000, 100_000].map((lines) => (
                <option key={lines} value={lines}>
                  {lines.toLocaleString('en')}
                </option>
              ))}
            </Select>
          </Labelled>
        </div>
        <ul className="divide-y divide-line rounded-lg border border-line">
          {FLAGS.map(({ name, label, help }) => (
            <li key={name} className="flex items-center gap-4 px-3 py-2">
              <label htmlFor={`terminal-${name}`} className="min-w-0 flex-1">
                <span className="block text-sm">{label}</span>
                <span className="block text-xs text-faint">{help}</span>
              </label>
              <Switch.Root
                id={`terminal-${name}`}
                checked={preferences[name]}
                onCheckedChange={(checked) => set({ [name]: checked })}
                className="h-5 w-9 shrink-0 rounded-full bg-line-strong p-0.5 data-[state=checked]:bg-accent"
              >
                <Switch.Thumb className="block size-4 rounded-full bg-accent-fg transition-transform data-[state=checked]:translate-x-4" />
              </Switch.Root>
            </li>
          ))}
        </ul>
      </DialogBody>
    </Dialog>
  )
}

function Labelled({ label, children }: { label: string; children: ReactNode }) {
  return (
    // oxlint-disable-next-line jsx-a11y/label-has-associated-control -- the control is the child
    <label className="block">
      <span className="mb-1 block text-xs font-medium text-muted">{label}</span>
      {children}
    </label>
  )
}
