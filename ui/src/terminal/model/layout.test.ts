import { describe, expect, test } from 'vitest'
import {
  activatePane,
  activeTab,
  addTab,
  closePane,
  EMPTY_LAYOUT,
  type Layout,
  moveTab,
  neighbour,
  panesOf,
  renameTab,
  setRatio,
  splitPane,
  stepTab,
} from './layout'

const three = (): Layout => addTab(addTab(addTab(EMPTY_LAYOUT, 'A', 'a'), 'B', 'b'), 'C', 'c')
const order = (layout: Layout) => layout.tabs.map((tab) => tab.id).join('')

/** a | b over c, in one tab. */
const split = (): Layout =>
  splitPane(splitPane(addTab(EMPTY_LAYOUT, 'A', 'a'), 'a', 'row', 'b', 's1'), 'b', 'column', 'c', 's2')

describe('tabs', () => {
  test('a new tab comes last and in front', () => {
    expect(order(three())).toBe('ABC')
    expect(three().activeTab).toBe('C')
  })

  test.each([
    ['A', 2, 'BCA'],
    ['C', 0, 'CAB'],
    ['B', 1, 'ABC'],
    ['A', 99, 'BCA'],
    ['nobody', 0, 'ABC'],
  ])('moving %s to %i gives %s', (tab, to, expected) => {
    expect(order(moveTab(three(), tab, to))).toBe(expected)
  })

  test('stepping goes around both ends', () => {
    expect(stepTab(three(), 1).activeTab).toBe('A')
    expect(stepTab(three(), -1).activeTab).toBe('B')
    expect(stepTab(EMPTY_LAYOUT, 1)).toEqual(EMPTY_LAYOUT)
  })

  test('an empty name gives the tab its own label back', () => {
    const named = renameTab(three(), 'A', '  db ')
    expect(named.tabs[0]?.name).toBe('db')
    expect(renameTab(named, 'A', '   ').tabs[0]?.name).toBeNull()
  })
})

describe('panes', () => {
  test('a split puts the new pane behind the old one and makes it active', () => {
    const tab = activeTab(split())
    expect(tab && panesOf(tab.root)).toEqual(['a', 'b', 'c'])
    expect(tab?.activePane).toBe('c')
  })

  test('closing a pane gives its room to its sibling and the focus to a neighbour', () => {
    const closed = closePane(split(), 'c')
    const tab = activeTab(closed)
    expect(tab && panesOf(tab.root)).toEqual(['a', 'b'])
    expect(tab?.activePane).toBe('b')
    expect(activeTab(closePane(closed, 'a'))?.root).toEqual({ kind: 'pane', id: 'b' })
  })

  test('the last pane takes its tab along, and the next tab comes to the front', () => {
    const middle = activatePane(three(), 'b')
    expect(order(closePane(middle, 'b'))).toBe('AC')
    expect(closePane(middle, 'b').activeTab).toBe('C')
    expect(closePane(three(), 'c').activeTab).toBe('B')
    expect(closePane(addTab(EMPTY_LAYOUT, 'A', 'a'), 'a')).toEqual(EMPTY_LAYOUT)
  })

  test('a pane can be neither crushed nor made to fill everything', () => {
    for (const [asked, given] of [[0, 0.1], [0.3, 0.3], [7, 0.9]] as const) {
      expect(activeTab(setRatio(split(), 's1', asked))?.root).toMatchObject({ id: 's1', ratio: given })
    }
  })

  test.each([
    ['a', 'right', 'b'],
    ['b', 'left', 'a'],
    ['c', 'left', 'a'],
    ['b', 'down', 'c'],
    ['c', 'up', 'b'],
    ['a', 'left', null],
    ['a', 'down', null],
  ] as const)('from %s to the %s lies %s', (from, side, expected) => {
    const root = activeTab(split())?.root
    expect(root && neighbour(root, from, side)).toBe(expected)
  })
})
