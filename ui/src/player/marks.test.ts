import { expect, test } from 'vitest'
import { rangesOf } from './marks'

/** A screen as the drawer makes it: pieces of a line by the column they begin at. */
function screen(...lines: (string | [column: number, text: string][])[]): HTMLElement {
  const element = document.createElement('div')
  for (const line of lines) {
    const row = document.createElement('span')
    row.className = 'ap-line'
    for (const [column, text] of typeof line === 'string' ? [[0, line] as const] : line) {
      const span = document.createElement('span')
      span.style.setProperty('--offset', String(column))
      span.textContent = text
      row.append(span)
    }
    element.append(row)
  }
  return element
}

const found = (element: HTMLElement, wanted: string, columns = 20) => rangesOf(element, wanted, columns).map((range) => range.toString())

test('each place is found, whatever the case', () => {
  expect(found(screen('Deploy ok, deploy', 'DEPLOYED'), 'deploy')).toEqual(['Deploy', 'deploy', 'DEPLOY'])
  expect(found(screen('nothing here'), 'deploy')).toEqual([])
  expect(found(screen('anything'), '  ')).toEqual([])
})

test('signs of an expression are signs, and letters keep their places behind wide ones', () => {
  expect(found(screen('a.c (x) [y] a-c \\d/'), 'a.c')).toEqual(['a.c'])
  expect(found(screen('abc'), 'a.c')).toEqual([])
  for (const sign of '\\^$.*+?()[]{}|/-!"#%&\',:;<=>@_`~§') expect(found(screen(`x${sign}y`), `x${sign}`), `the sign ${sign}`).toEqual([`x${sign}`])
  expect(found(screen('cost: $5 (a|b)*'), '$5 (a|b)*')).toEqual(['$5 (a|b)*'])
  expect(found(screen('İİ 🚀 word'), 'WORD')).toEqual(['word'])
})

test('a text of several colours is one, and empty cells are white space', () => {
  expect(found(screen([[0, 'fa'], [2, 'iled'], [7, 'login']]), 'failed login')).toEqual(['failedlogin'])
  expect(found(screen([[0, 'failed'], [15, 'login']]), 'failed login')).toEqual(['failedlogin'])
  expect(found(screen([[0, 'failed'], [15, 'login']]), 'failedlogin')).toEqual([])
})

test('a line that fills the width goes on in the next one, and another does not', () => {
  expect(found(screen('0123456789', 'abc'), '89ab', 10)).toEqual(['89ab'])
  expect(found(screen('012345678', 'abc'), '78abc', 10)).toEqual([])
  expect(found(screen('012345678', 'abc'), '78 abc', 10)).toEqual([])
})
