import { describe, expect, test } from 'vitest'
import { KEPT_BYTES, SentInput } from './sent-input'

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (parts: Uint8Array[]) => parts.map((part) => new TextDecoder().decode(part)).join('')

function begun(at = 0) {
  const input = new SentInput()
  input.untaken(at)
  return input
}

describe('input that the hub did not take', () => {
  test('is what was sent beyond its count, also from the middle of a frame', () => {
    const input = begun()
    for (const part of ['ls -', 'la\r', 'pwd\r']) input.sent(bytes(part))
    expect(text(input.untaken(2).again)).toBe(' -la\rpwd\r')
    expect(text(input.untaken(7).again)).toBe('pwd\r')
    expect(input.untaken(11)).toEqual({ again: [], lost: 0 })
  })

  test('is nothing of what another page sent', () => {
    const input = begun(5_000)
    input.sent(bytes('x'))
    expect(input.untaken(5_001)).toEqual({ again: [], lost: 0 })
    // Another page typed on in between.
    expect(input.untaken(6_000)).toEqual({ again: [], lost: 0 })
    input.sent(bytes('yz'))
    expect(text(input.untaken(6_001).again)).toBe('z')
  })

  test('is called lost, and no end of it is sent without its beginning, once it is not kept any more', () => {
    const input = begun()
    for (let at = 0; at < KEPT_BYTES + 100_000; at += 10_000) input.sent(new Uint8Array(10_000))
    const { again, lost } = input.untaken(0)
    expect(again).toEqual([])
    expect(lost).toBeGreaterThan(KEPT_BYTES)
    input.sent(bytes('a'))
    expect(text(input.untaken(0).again)).toBe('a')
  })
})
