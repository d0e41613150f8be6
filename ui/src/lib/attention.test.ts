// @vitest-environment node
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal('window', new EventTarget())
  vi.resetModules()
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

test('a page is unattended five minutes after the last sign of a person, until the next', async () => {
  const { isAttended, lastInputAt, UNATTENDED_MS } = await import('./attention')
  vi.advanceTimersByTime(UNATTENDED_MS - 1000)
  window.dispatchEvent(new Event('pointermove'))
  expect(lastInputAt()).toBe(Date.now())
  vi.advanceTimersByTime(UNATTENDED_MS - 1000)
  expect(isAttended()).toBe(true)
  vi.advanceTimersByTime(2000)
  expect(isAttended()).toBe(false)
  window.dispatchEvent(new Event('keydown'))
  expect(isAttended()).toBe(true)
  vi.advanceTimersByTime(UNATTENDED_MS + 1000)
  expect(isAttended()).toBe(false)
})
