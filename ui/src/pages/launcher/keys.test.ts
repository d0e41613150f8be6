import { afterEach, describe, expect, test } from 'vitest'
import { keyOnPage } from './keys'

const press = (key: string, more: Partial<KeyboardEvent> = {}) =>
  keyOnPage({ key, ctrlKey: false, altKey: false, metaKey: false, isComposing: false, defaultPrevented: false, ...more })

function show(html: string, focus?: string) {
  document.body.innerHTML = html
  document.querySelector<HTMLElement>(focus ?? 'none')?.focus()
}

afterEach(() => show(''))

describe('keys on the launcher', () => {
  test('search, begin a search and go to the first row when the focus is on the page', () => {
    expect([press('/'), press('w'), press('É'), press('7'), press('ArrowDown')]).toEqual(['search', 'letter', 'letter', 'letter', 'first'])
    expect([press(' '), press('Enter'), press('Tab'), press('ArrowUp')]).toEqual([null, null, null, null])
  })

  test('are left alone in a field, under a dialog, with a modifier, and where somebody took them', () => {
    show('<input>', 'input')
    expect([press('/'), press('w'), press('ArrowDown')]).toEqual([null, null, null])
    show('<div role="dialog"></div>')
    expect([press('/'), press('w'), press('ArrowDown')]).toEqual([null, null, null])
    show('')
    expect([press('w', { ctrlKey: true }), press('w', { altKey: true }), press('/', { metaKey: true }), press('w', { defaultPrevented: true })]).toEqual([null, null, null, null])
  })

  test('leave a button its arrows, but not its letters', () => {
    show('<button>Zone</button>', 'button')
    expect([press('ArrowDown'), press('w'), press('/')]).toEqual([null, 'letter', 'search'])
  })
})
