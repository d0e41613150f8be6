/** The arrangement of terminals: tabs, each a binary tree of panes. Pure; every change returns a new value. */

export type Direction = 'row' | 'column'
export type TabColour = 'grey' | 'blue' | 'green' | 'amber' | 'violet' | 'pink'
export const TAB_COLOURS: readonly TabColour[] = ['grey', 'blue', 'green', 'amber', 'violet', 'pink']

export type LayoutNode =
  | { kind: 'pane'; id: string }
  | { kind: 'split'; id: string; direction: Direction; ratio: number; first: LayoutNode; second: LayoutNode }

export interface Tab {
  id: string
  name: string | null
  colour: TabColour | null
  root: LayoutNode
  activePane: string
}

export interface Layout {
  tabs: readonly Tab[]
  activeTab: string | null
}

export const EMPTY_LAYOUT: Layout = { tabs: [], activeTab: null }
const SMALLEST_RATIO = 0.1
export const MAX_PANES = 24

export function panesOf(node: LayoutNode): string[] {
  return node.kind === 'pane' ? [node.id] : [...panesOf(node.first), ...panesOf(node.second)]
}

export const allPanes = (layout: Layout): string[] => layout.tabs.flatMap((tab) => panesOf(tab.root))

export const tabOfPane = (layout: Layout, pane: string): Tab | undefined =>
  layout.tabs.find((tab) => panesOf(tab.root).includes(pane))

export const activeTab = (layout: Layout): Tab | undefined =>
  layout.tabs.find((tab) => tab.id === layout.activeTab)

const withTab = (layout: Layout, id: string, change: (tab: Tab) => Tab): Layout => ({
  ...layout,
  tabs: layout.tabs.map((tab) => (tab.id === id ? change(tab) : tab)),
})

export function addTab(layout: Layout, tab: string, pane: string): Layout {
  const added: Tab = { id: tab, name: null, colour: null, root: { kind: 'pane', id: pane }, activePane: pane }
  return { tabs: [...layout.tabs, added], activeTab: tab }
}

function replacePane(node: LayoutNode, pane: string, by: (found: LayoutNode) => LayoutNode): LayoutNode {
  if (node.kind === 'pane') return node.id === pane ? by(node) : node
  return { ...node, first: replacePane(node.first, pane, by), second: replacePane(node.second, pane, by) }
}

/** Puts `added` beside `pane` and makes it the active one. */
export function splitPane(layout: Layout, pane: string, direction: Direction, added: string, split: string): Layout {
  const tab = tabOfPane(layout, pane)
  if (!tab) return layout
  return withTab(layout, tab.id, (found) => ({
    ...found,
    activePane: added,
    root: replacePane(found.root, pane, (first) => ({
      kind: 'split',
      id: split,
      direction,
      ratio: 0.5,
      first,
      second: { kind: 'pane', id: added },
    })),
  }))
}

function without(node: LayoutNode, pane: string): LayoutNode | null {
  if (node.kind === 'pane') return node.id === pane ? null : node
  const first = without(node.first, pane)
  const second = without(node.second, pane)
  if (!first) return second
  if (!second) return first
  return { ...node, first, second }
}

/** Removes a pane; its tab goes with the last one, and the neighbour becomes active. */
export function closePane(layout: Layout, pane: string): Layout {
  const tab = tabOfPane(layout, pane)
  if (!tab) return layout
  const order = panesOf(tab.root)
  const root = without(tab.root, pane)
  if (root) {
    const position = order.indexOf(pane)
    const next = order[position + 1] ?? order[position - 1] ?? tab.activePane
    return withTab(layout, tab.id, (found) => ({
      ...found,
      root,
      activePane: found.activePane === pane ? next : found.activePane,
    }))
  }
  const position = layout.tabs.indexOf(tab)
  const tabs = layout.tabs.filter((other) => other !== tab)
  const next = tabs[position] ?? tabs[position - 1]
  return {
    tabs,
    activeTab: layout.activeTab === tab.id ? (next?.id ?? null) : layout.activeTab,
  }
}

/** Moves a tab to the position of another. */
export function moveTab(layout: Layout, tab: string, to: number): Layout {
  const from = layout.tabs.findIndex((other) => other.id === tab)
  if (from < 0) return layout
  const tabs = [...layout.tabs]
  const [moved] = tabs.splice(from, 1)
  if (!moved) return layout
  tabs.splice(Math.max(0, Math.min(to, tabs.length)), 0, moved)
  return { ...layout, tabs }
}

export const renameTab = (layout: Layout, tab: string, name: string): Layout =>
  withTab(layout, tab, (found) => ({ ...found, name: name.trim().slice(0, 60) || null }))

export const colourTab = (layout: Layout, tab: string, colour: TabColour | null): Layout =>
  withTab(layout, tab, (found) => ({ ...found, colour }))

export const activateTab = (layout: Layout, tab: string): Layout =>
  layout.tabs.some((other) => other.id === tab) ? { ...layout, activeTab: tab } : layout

export function activatePane(layout: Layout, pane: string): Layout {
  const tab = tabOfPane(layout, pane)
  if (!tab) return layout
  return { ...withTab(layout, tab.id, (found) => ({ ...found, activePane: pane })), activeTab: tab.id }
}

/** The tab `step` places further, around the end. */
export function stepTab(layout: Layout, step: number): Layout {
  const position = layout.tabs.findIndex((tab) => tab.id === layout.activeTab)
  if (position < 0) return layout
  const next = layout.tabs[(position + step + layout.tabs.length) % layout.tabs.length]
  return next ? { ...layout, activeTab: next.id } : layout
}

export function setRatio(layout: Layout, split: string, ratio: number): Layout {
  const bounded = Math.min(1 - SMALLEST_RATIO, Math.max(SMALLEST_RATIO, ratio))
  const change = (node: LayoutNode): LayoutNode => {
    if (node.kind === 'pane') return node
    if (node.id === split) return { ...node, ratio: bounded }
    return { ...node, first: change(node.first), second: change(node.second) }
  }
  return { ...layout, tabs: layout.tabs.map((tab) => ({ ...tab, root: change(tab.root) })) }
}

interface Box {
  pane: string
  left: number
  top: number
  right: number
  bottom: number
}

function boxes(node: LayoutNode, left: number, top: number, right: number, bottom: number): Box[] {
  if (node.kind === 'pane') return [{ pane: node.id, left, top, right, bottom }]
  if (node.direction === 'row') {
    const middle = left + (right - left) * node.ratio
    return [...boxes(node.first, left, top, middle, bottom), ...boxes(node.second, middle, top, right, bottom)]
  }
  const middle = top + (bottom - top) * node.ratio
  return [...boxes(node.first, left, top, right, middle), ...boxes(node.second, left, middle, right, bottom)]
}

export type Side = 'left' | 'right' | 'up' | 'down'

const near = (a: number, b: number) => Math.abs(a - b) < 1e-6

/** The pane that lies next to `pane` on a side, the one nearest to its middle. */
export function neighbour(root: LayoutNode, pane: string, side: Side): string | null {
  const all = boxes(root, 0, 0, 1, 1)
  const from = all.find((box) => box.pane === pane)
  if (!from) return null
  const horizontal = side === 'left' || side === 'right'
  const touching = all.filter((box) => {
    if (side === 'left') return near(box.right, from.left)
    if (side === 'right') return near(box.left, from.right)
    if (side === 'up') return near(box.bottom, from.top)
    return near(box.top, from.bottom)
  })
  const middle = (box: Box) => (horizontal ? box.top + box.bottom : box.left + box.right) / 2
  const distance = (box: Box) => Math.abs(middle(box) - middle(from))
  return touching.toSorted((a, b) => distance(a) - distance(b))[0]?.pane ?? null
}
