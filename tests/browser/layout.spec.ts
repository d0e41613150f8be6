/** Every page, wide and narrow: nothing sticks out. */
import { expect, type Page, test } from './support/fixtures.ts'
import { PAGES, settled, still } from './support/pages.ts'
import { Terminal } from './support/terminal.ts'

/** How many pixels a page is wider than its window, and what sticks out. */
const overflow = (page: Page) =>
  page.evaluate(() => {
    const width = document.documentElement.clientWidth
    const scrolls = (element: Element) => element.closest('[data-scrollable], .overflow-x-auto, .overflow-auto') !== null
    const out = [...document.querySelectorAll('body *')].filter((element) => {
      const box = element.getBoundingClientRect()
      return box.width > 0 && box.right > width + 1 && getComputedStyle(element).position !== 'fixed' && !scrolls(element)
    })
    return {
      pixels: Math.max(0, document.documentElement.scrollWidth - width),
      out: out.slice(0, 5).map((element) => `${element.tagName} ${element.className}`),
    }
  })

// The second is what is left of the third at a zoom of 200 %.
for (const [width, height] of [[390, 844], [720, 450], [1440, 900]] as const) {
  test(`nothing sticks out at ${width}×${height}`, async ({ browserFor, world, watch, picture }) => {
    watch.expect('Failed to load resource')
    const { target } = await world.personWithTarget({
      name: `a-machine-with-a-very-long-name-in-${'the-cellar-'.repeat(5)}${Date.now()}`,
      environment: 'production',
      tags: ['linux', 'a-rather-long-tag-for-a-machine'],
    })
    const administrator = await world.person([], ['admin'])
    const page = await browserFor(administrator.api, { viewport: { width, height } })
    const wide: Record<string, unknown> = {}
    for (const [path] of [...PAGES, [`/targets/${target.id}`], ['/login']] as const) {
      await page.goto(path)
      await settled(page)
      const found = await overflow(page)
      if (found.pixels > 0 || found.out.length > 0) wide[path] = found
      await picture(page, `page-${path.split('/')[1] || 'launcher'}${path.split('/').length > 2 ? '-one' : ''}-${width}`)
    }
    // A form: what sends it is on the screen, however low that is.
    await page.goto('/targets')
    await page.getByRole('button', { name: 'New target' }).click()
    const panel = page.getByRole('dialog')
    await expect(panel.getByRole('button', { name: 'Create target' })).toBeInViewport({ ratio: 1 })
    await still(page)
    const form = await overflow(page)
    if (form.pixels > 0 || form.out.length > 0) wide.form = form
    await picture(page, `form-${width}`)
    await panel.getByRole('button', { name: 'Cancel' }).click()
    page.on('dialog', (dialog) => void dialog.accept())
    await Terminal.open(page, target)
    const found = await overflow(page)
    if (found.pixels > 0) wide.terminal = found
    await picture(page, `terminal-${width}`)
    await page.keyboard.press('Control+Shift+,')
    await expect(page.getByRole('dialog')).toBeVisible()
    await picture(page, `terminal-settings-${width}`)
    await page.keyboard.press('Escape')
    await expect(page.getByRole('dialog')).toHaveCount(0)
    await expect(page.locator('.xterm-helper-textarea:focus')).toHaveCount(1)
    await page.keyboard.type('exit')
    await page.keyboard.press('Enter')
    await expect(page.getByRole('button', { name: 'Connect again' })).toBeInViewport({ ratio: 1 })
    await picture(page, `terminal-ended-${width}`)
    expect(wide).toEqual({})
  })
}
