import { Terminal } from '@xterm/xterm'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ReplayGuard } from './replay-guard'

// Device attributes, cursor position, a mode, a setting, the background colour.
const QUESTIONS = '\u001b[c\u001b[>c\u001b[6n\u001b[?6n\u001b[?2026$p\u001bP$qm\u001b\\\u001b]11;?\u0007'

let terminal: Terminal
let guard: ReplayGuard
let answers: string

beforeEach(() => {
  terminal = new Terminal({ allowProposedApi: true })
  guard = new ReplayGuard(terminal)
  answers = ''
  terminal.onData((data) => (answers += data))
})

afterEach(() => {
  vi.useRealTimers()
  guard.dispose()
  terminal.dispose()
})

const write = (text: string) =>
  new Promise<void>((resolve) => {
    guard.written()
    terminal.write(text, () => {
      guard.parsed()
      resolve()
    })
  })

test('a live terminal answers what programs ask', async () => {
  await write(QUESTIONS)
  expect(answers).toContain('\u001b[?1;2c')
  expect(answers).toContain('\u001b[1;1R')
})

test('output that is shown again is not answered again, and everything else of it is drawn', async () => {
  guard.begin()
  await write(`a${QUESTIONS}b`)
  expect(answers).toBe('')
  expect(terminal.buffer.active.getLine(0)?.translateToString(true)).toBe('ab')
})

test('after a moment of quiet the terminal answers again', async () => {
  guard.begin()
  await write(QUESTIONS)
  await vi.waitFor(() => expect(guard.replaying).toBe(false))
  await write('\u001b[6n')
  expect(answers).toBe('\u001b[1;1R')
})
