import { expect, test } from 'vitest'
import { bytesOf, withControl } from './extra-keys'

test('keys send what a keyboard would', () => {
  expect([bytesOf('escape', false), bytesOf('tab', false), bytesOf('up', false), bytesOf('up', true)]).toEqual(['\x1b', '\t', '\x1b[A', '\x1bOA'])
})

test('Ctrl makes control characters of letters, and leaves the rest', () => {
  expect(['c', 'C', 'd', '[', ' ', '7', 'abc', 'é'].map(withControl)).toEqual(['\x03', '\x03', '\x04', '\x1b', '\0', '7', 'abc', 'é'])
})
