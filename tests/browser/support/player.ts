/** The player of recordings: where it is, and what its screen shows. */
import { expect, type Page } from './fixtures.ts'

export const player = (page: Page) => page.getByRole('region', { name: 'Recording player' })

/** The screen's lines, whatever their colours: each colour is an element of its own, which innerText puts on a line of its own. */
export const screenText = (page: Page): Promise<string> =>
  page.evaluate(() => [...document.querySelectorAll('.ap-term-text .ap-line')].map((line) => (line.textContent ?? '').trimEnd()).join('\n').trimEnd())

/** Waits until the screen of a moment is drawn. */
export const drawn = (page: Page) => expect(player(page)).toHaveAttribute('data-waiting', 'false')
