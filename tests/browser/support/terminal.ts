/** A terminal on a page, used as a person does: by its keys, read from its screen. */
import { expect, type Locator, type Page } from '@playwright/test'
import type { Target } from './world.ts'

/** The pieces of xterm.js that are read; the page offers its terminals for this. */
interface Lines {
  length: number
  viewportY: number
  getLine(index: number): { translateToString(trim: boolean): string; isWrapped: boolean } | undefined
}
declare global {
  interface Window {
    __openpamTerminals?: Map<string, { buffer: { active: Lines }; cols: number; rows: number }>
  }
}

/** The last lines a terminal remembers, wrapped ones put together again; of the pane that has the keyboard, or of the first. */
export function readScreen(page: Page, last = Number.POSITIVE_INFINITY): Promise<string> {
  return page.evaluate((limit) => {
    const focused = document.activeElement?.closest('[data-pane]')?.getAttribute('data-pane')
    const first = document.querySelector('[data-pane]')?.getAttribute('data-pane')
    const terminal = window.__openpamTerminals?.get(focused ?? first ?? '')
    if (!terminal) return ''
    const { active } = terminal.buffer
    const lines: string[] = []
    for (let index = Math.max(0, active.length - limit); index < active.length; index += 1) {
      const line = active.getLine(index)
      if (!line) continue
      const next = active.getLine(index + 1)
      const text = line.translateToString(!next?.isWrapped)
      if (line.isWrapped && lines.length > 0) lines[lines.length - 1] += text
      else lines.push(text)
    }
    return lines.join('\n').trimEnd()
  }, last)
}

export class Terminal {
  readonly page: Page

  constructor(page: Page) {
    this.page = page
  }

  /** Opens the target by its address and waits for the shell. */
  static async open(page: Page, target: Target): Promise<Terminal> {
    await page.goto(`/terminal?target=${target.id}&credential=${target.credentialId}`)
    const terminal = new Terminal(page)
    await terminal.ready()
    return terminal
  }

  /** The footer's facts. */
  get status(): Locator {
    return this.page.locator('footer')
  }

  /** Why it is over. */
  get ending(): Locator {
    return this.page.getByRole('alert')
  }

  /** Waits for a prompt that has the keyboard. */
  async ready(): Promise<void> {
    await expect(this.status).toContainText('Connected')
    await this.sees(/[$#]$/)
    await expect(this.page.locator('.xterm-helper-textarea:focus')).toHaveCount(1)
  }

  text(): Promise<string> {
    return readScreen(this.page, 300)
  }

  async sees(expected: RegExp | string, timeout = 20_000): Promise<void> {
    const poll = expect.poll(() => this.text(), { timeout })
    if (typeof expected === 'string') await poll.toContain(expected)
    else await poll.toMatch(expected)
  }

  async type(text: string): Promise<void> {
    await this.page.keyboard.type(text)
  }

  /** Types a command. What is expected must not be in the command itself: the shell echoes that. */
  async run(command: string, expected?: RegExp | string, timeout?: number): Promise<void> {
    await this.page.keyboard.type(command)
    await this.page.keyboard.press('Enter')
    if (expected !== undefined) await this.sees(expected, timeout)
  }

  /** Double-clicks where `word` begins a line: selects it. Whatever draws the terminal, its cells are where they are. */
  async doubleClick(word: string): Promise<void> {
    const screen = this.page.locator('[data-pane] .xterm-screen').first()
    const place = await screen.evaluate((element, text) => {
      const pane = element.closest('[data-pane]')?.getAttribute('data-pane') ?? ''
      const terminal = window.__openpamTerminals?.get(pane)
      const { active } = terminal?.buffer ?? {}
      if (!terminal || !active) return null
      for (let row = 0; row < terminal.rows; row += 1) {
        if (active.getLine(active.viewportY + row)?.translateToString(true).startsWith(text)) {
          const { width, height } = element.getBoundingClientRect()
          return { x: (width / terminal.cols) * 2.5, y: (height / terminal.rows) * (row + 0.5) }
        }
      }
      return null
    }, word)
    if (!place) throw new Error(`no line on the screen begins with ${word}`)
    await screen.dblclick({ position: place })
  }

  /** The first group of `pattern` in what the command prints. */
  async ask(command: string, pattern: RegExp, timeout?: number): Promise<string> {
    await this.run(command, pattern, timeout)
    const found = pattern.exec(await this.text())?.[1]
    if (found === undefined) throw new Error(`${pattern} has no group in the output of ${command}`)
    return found
  }

  /** The session's id, from the hub's list of what runs. */
  async sessionId(list: () => Promise<{ items: { id: string }[] }>): Promise<string> {
    const { items } = await list()
    const [first] = items
    if (!first || items.length !== 1) throw new Error(`one session was expected, there are ${items.length}`)
    return first.id
  }
}
