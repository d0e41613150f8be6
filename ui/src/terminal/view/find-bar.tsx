import { ArrowDown, ArrowUp, CaseSensitive, Regex, X } from 'lucide-react'
import { useState } from 'react'
import { cn } from '@/lib/cn'
import { workspace } from '../model/workspace'
import type { PaneController } from '../pane/controller'
import { Tool } from './parts'

/** Searches what the terminal still remembers. */
export function FindBar({ pane, found }: { pane: PaneController; found: { index: number; count: number } | null }) {
  const [text, setText] = useState('')
  const [caseSensitive, setCaseSensitive] = useState(false)
  const [regex, setRegex] = useState(false)
  const close = () => {
    pane.screen.stopFinding()
    workspace.show({ finding: null })
    pane.focus()
  }
  const find = (forward: boolean, incremental = false, value = text, options = { caseSensitive, regex }) =>
    pane.screen.find(value, forward, incremental, options)
  const tally = found && text ? (found.count === 0 ? 'none' : `${found.index + 1} of ${found.count}`) : ''
  return (
    <div role="search" className="absolute top-2 right-4 z-10 flex max-w-[calc(100%-1.5rem)] items-center gap-0.5 rounded-lg bg-raised p-1 shadow-pop">
      <input
        aria-label="Find in the terminal"
        placeholder="Find"
        autoFocus
        value={text}
        onChange={(event) => {
          setText(event.target.value)
          find(false, true, event.target.value)
        }}
        onKeyDown={(event) => {
          if (event.key === 'Escape') close()
          if (event.key === 'Enter') find(event.shiftKey)
        }}
        className="h-7 w-44 min-w-0 bg-transparent px-2 text-sm text-fg outline-none"
      />
      <span aria-live="polite" className={cn('min-w-14 text-center text-xs', tally === 'none' ? 'text-danger-text' : 'text-faint')}>
        {tally}
      </span>
      <Tool
        icon={CaseSensitive}
        label="Match case"
        aria-pressed={caseSensitive}
        className={caseSensitive ? 'bg-accent-soft text-accent-text' : ''}
        onClick={() => {
          setCaseSensitive(!caseSensitive)
          find(false, true, text, { caseSensitive: !caseSensitive, regex })
        }}
      />
      <Tool
        icon={Regex}
        label="Regular expression"
        aria-pressed={regex}
        className={regex ? 'bg-accent-soft text-accent-text' : ''}
        onClick={() => {
          setRegex(!regex)
          find(false, true, text, { caseSensitive, regex: !regex })
        }}
      />
      <Tool icon={ArrowUp} label="Older match" keys="Enter" onClick={() => find(false)} />
      <Tool icon={ArrowDown} label="Newer match" keys="Shift Enter" onClick={() => find(true)} />
      <Tool icon={X} label="Close" keys="Esc" onClick={close} />
    </div>
  )
}
