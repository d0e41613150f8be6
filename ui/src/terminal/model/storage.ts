/** Keeps the arrangement over a reload, in this browser tab only. Ids and names; never a token, a reason or a byte of output. */
import { type Layout, type LayoutNode, MAX_PANES, panesOf, TAB_COLOURS, type Tab } from './layout'

export interface StoredPane {
  targetId: string
  credentialId: string | null
  sessionId: string | null
}

export interface StoredWorkspace {
  layout: Layout
  panes: Record<string, StoredPane>
}

const KEY = 'openpam.terminal.layout'
const LONGEST = 100_000

const isText = (value: unknown): value is string => typeof value === 'string' && value.length > 0 && value.length <= 80
const optionalText = (value: unknown) => (isText(value) ? value : null)
type Fields = Record<string, unknown>
const fieldsOf = (value: unknown): Fields | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : null

function readNode(value: unknown, depth: number): LayoutNode | null {
  const fields = fieldsOf(value)
  if (!fields || depth > 12 || !isText(fields.id)) return null
  if (fields.kind === 'pane') return { kind: 'pane', id: fields.id }
  const first = readNode(fields.first, depth + 1)
  const second = readNode(fields.second, depth + 1)
  if (!first || !second || typeof fields.ratio !== 'number' || !(fields.ratio > 0 && fields.ratio < 1)) return null
  const direction = fields.direction === 'column' ? 'column' : 'row'
  return { kind: 'split', id: fields.id, direction, ratio: fields.ratio, first, second }
}

function readTab(value: unknown): Tab | null {
  const fields = fieldsOf(value)
  const root = readNode(fields?.root, 0)
  if (!fields || !root || !isText(fields.id)) return null
  const panes = panesOf(root)
  const activePane = panes.find((pane) => pane === fields.activePane) ?? panes[0]
  if (!activePane) return null
  return {
    id: fields.id,
    name: optionalText(fields.name),
    colour: TAB_COLOURS.find((colour) => colour === fields.colour) ?? null,
    root,
    activePane,
  }
}

/** Reads what was stored; anything that is not a sound arrangement is `null`. */
export function parseWorkspace(stored: string | null): StoredWorkspace | null {
  if (!stored || stored.length > LONGEST) return null
  let value: unknown
  try {
    value = JSON.parse(stored)
  } catch {
    return null
  }
  const fields = fieldsOf(value)
  const layout = fieldsOf(fields?.layout)
  const panes = fieldsOf(fields?.panes)
  if (!layout || !panes || !Array.isArray(layout.tabs)) return null
  const tabs = layout.tabs.map(readTab).filter((tab) => tab !== null)
  const ids = tabs.flatMap((tab) => panesOf(tab.root))
  if (tabs.length === 0 || ids.length > MAX_PANES || new Set(ids).size !== ids.length) return null
  const read: Record<string, StoredPane> = {}
  for (const id of ids) {
    const pane = fieldsOf(panes[id])
    if (!pane || !isText(pane.targetId)) return null
    read[id] = {
      targetId: pane.targetId,
      credentialId: optionalText(pane.credentialId),
      sessionId: optionalText(pane.sessionId),
    }
  }
  const active = tabs.find((tab) => tab.id === layout.activeTab) ?? tabs[0]
  return { layout: { tabs, activeTab: active?.id ?? null }, panes: read }
}

export function loadWorkspace(): StoredWorkspace | null {
  try {
    return parseWorkspace(sessionStorage.getItem(KEY))
  } catch {
    return null
  }
}

export function saveWorkspace(workspace: StoredWorkspace): void {
  try {
    if (workspace.layout.tabs.length === 0) sessionStorage.removeItem(KEY)
    else sessionStorage.setItem(KEY, JSON.stringify(workspace))
  } catch {
    // Storage is switched off: a reload then offers the open sessions from the hub's list.
  }
}
