/** Every page, dark and light, wide and narrow: nothing serious for axe, nothing that sticks out. */
import axe from 'axe-core'
import { expect, type Page, test } from './support/fixtures.ts'
import { Terminal } from './support/terminal.ts'

const PAGES = [
  ['/', 'Launcher'],
  ['/my-sessions', 'My sessions'],
  ['/sessions', 'Sessions'],
  ['/ledger', 'Ledger'],
  ['/zones', 'Zones'],
  ['/sites', 'Sites'],
  ['/targets', 'Targets'],
  ['/credentials', 'Credentials'],
  ['/users', 'Users'],
  ['/groups', 'Groups'],
  ['/service-accounts', 'Service accounts'],
  ['/settings', 'Settings'],
  ['/system', 'System'],
  ['/profile', 'Your profile'],
  ['/setup', 'Set up'],
] as const

interface Finding {
  id: string
  impact: string
  targets: string[]
}

/** What axe finds serious or critical, with where it is. */
async function findings(page: Page): Promise<Finding[]> {
  // Colours in the middle of a transition are nobody's.
  await page.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => undefined))))
  await page.evaluate(axe.source)
  return page.evaluate(async () => {
    const { axe: runner } = window as unknown as { axe: typeof axe }
    const { violations } = await runner.run(document, {
      runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] },
      resultTypes: ['violations'],
    })
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, impact, nodes }) => ({
        id,
        impact: impact ?? '',
        targets: nodes.map((node) => `${node.target.join(' ')}: ${node.any[0]?.message ?? node.html.slice(0, 120)}`),
      }))
  })
}

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

const settled = async (page: Page) => {
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible()
  await expect(page.getByRole('status', { name: 'Loading' })).toHaveCount(0)
}

for (const theme of ['dark', 'light'] as const) {
  test(`axe finds nothing serious on any page, ${theme}`, async ({ browserFor, world, watch }) => {
    test.slow()
    watch.expect('Failed to load resource')
    const { person, target } = await world.personWithTarget({ environment: 'production', tags: ['linux'] })
    const administrator = await world.person([], ['admin'])
    const page = await browserFor(null, { colorScheme: theme })
    const found: Record<string, Finding[]> = {}
    const look = async (name: string) => {
      const list = await findings(page)
      if (list.length > 0) found[name] = list
    }
    await page.goto('/login?error=login_expired')
    await expect(page.getByRole('link', { name: /Continue with/ })).toBeVisible()
    await look('sign-in')
    await page.context().addCookies([{ ...administrator.api.cookie, url: world.url, httpOnly: true, sameSite: 'Lax' }])
    for (const [path, title] of [...PAGES, [`/targets/${target.id}`, target.name], [`/users/${person.id}`, 'Robin Reed']] as const) {
      await page.goto(path)
      await expect(page.getByRole('heading', { level: 1, name: title })).toBeVisible()
      await settled(page)
      await look(path)
    }
    await page.keyboard.press('Control+k')
    await expect(page.getByRole('combobox')).toBeVisible()
    await look('palette')
    await page.goto('/no-such-page')
    await expect(page.getByRole('heading').first()).toBeVisible()
    await look('not found')
    page.on('dialog', (dialog) => void dialog.accept())
    const terminal = await Terminal.open(page, target)
    await look('terminal')
    await page.keyboard.press('Control+Shift+,')
    await expect(page.getByRole('dialog')).toBeVisible()
    await look('terminal settings')
    await page.keyboard.press('Escape')
    await terminal.run('exit')
    await expect(terminal.ending).toBeVisible()
    await look('terminal ended')
    expect(found).toEqual({})
  })
}

for (const [width, height] of [[390, 844], [1440, 900]] as const) {
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
    page.on('dialog', (dialog) => void dialog.accept())
    await Terminal.open(page, target)
    const found = await overflow(page)
    if (found.pixels > 0) wide.terminal = found
    await picture(page, `terminal-${width}`)
    expect(wide).toEqual({})
  })
}
