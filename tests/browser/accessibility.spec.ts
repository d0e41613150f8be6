/** What axe says about every page. */
import { type Finding, findings } from './support/findings.ts'
import { expect, test } from './support/fixtures.ts'
import { PAGES, settled } from './support/pages.ts'
import { Terminal } from './support/terminal.ts'

test('axe finds nothing serious on any page, dark or light', async ({ browserFor, world, watch }) => {
  test.setTimeout(240_000)
  watch.expect('Failed to load resource')
  const { person, target } = await world.personWithTarget({ environment: 'production', tags: ['linux'] })
  const administrator = await world.person([], ['admin'])
  const page = await browserFor(null)
  const found: Record<string, Finding[]> = {}
  const look = async (name: string) => {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      await expect(page.locator(`html[data-theme=${colorScheme}]`)).toHaveCount(1)
      const list = await findings(page)
      if (list.length > 0) found[`${name}, ${colorScheme}`] = list
    }
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
  await expect(page.getByRole('dialog')).toHaveCount(0)
  await terminal.ready()
  await terminal.run('exit')
  await expect(terminal.ending).toBeVisible()
  await look('terminal ended')
  expect(found).toEqual({})
})
