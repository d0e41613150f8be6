import { toast } from 'sonner'
import { activatePane, activateTab, activeTab, neighbour, stepTab } from '../model/layout'
import type { Command } from '../model/keymap'
import { DEFAULT_PREFERENCES } from '../model/preferences'
import { workspace } from '../model/workspace'
import type { PaneController } from '../pane/controller'

/** Carries out a key's command. Returns whether the browser must not act on the key as well. */
export function runCommand(command: Command): boolean {
  const pane = workspace.activePane
  const { fontSize } = workspace.getState().preferences
  switch (command.do) {
    case 'palette':
      window.dispatchEvent(new CustomEvent('openpam:palette'))
      return true
    case 'new-tab':
      workspace.show({ picking: true })
      return true
    case 'settings':
      workspace.show({ settings: true })
      return true
    case 'duplicate':
      if (pane) workspace.duplicate(pane, 'tab')
      return true
    case 'split-row':
      if (pane) workspace.duplicate(pane, 'row')
      return true
    case 'split-column':
      if (pane) workspace.duplicate(pane, 'column')
      return true
    case 'close-pane':
      if (pane) workspace.requestClose([pane.id])
      return true
    case 'find':
      if (pane) workspace.show({ finding: pane.id })
      return true
    case 'copy':
      if (pane) void copySelection(pane)
      return true
    case 'paste':
      // The browser makes a paste event of this key, without asking for a permission.
      return false
    case 'larger':
      workspace.setPreferences({ fontSize: fontSize + 1 })
      return true
    case 'smaller':
      workspace.setPreferences({ fontSize: fontSize - 1 })
      return true
    case 'default-size':
      workspace.setPreferences({ fontSize: DEFAULT_PREFERENCES.fontSize })
      return true
    case 'step-tab':
      workspace.change((layout) => stepTab(layout, command.step))
      return true
    case 'go-to-tab':
      workspace.change((layout) => {
        const tab = layout.tabs[command.index]
        return tab ? activateTab(layout, tab.id) : layout
      })
      return true
    case 'focus':
      workspace.change((layout) => {
        const tab = activeTab(layout)
        const next = tab && neighbour(tab.root, tab.activePane, command.side)
        return next ? activatePane(layout, next) : layout
      })
      return true
  }
}

async function copySelection(pane: PaneController): Promise<void> {
  const text = pane.screen.terminal.getSelection()
  if (!text) return
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    toast.warning('The browser did not allow the copy', { description: 'Use the menu of the browser instead.' })
  }
}
