/** The administration without a mouse: every form is opened, filled and sent with keys alone. */
import type { Locator } from '@playwright/test'
import { expect, type Page, test, unique } from './support/fixtures.ts'

/** Presses Tab until `wanted` has the focus, as a person does who sees where it is. */
async function tabTo(page: Page, wanted: Locator, most = 80): Promise<void> {
  for (let presses = 0; presses < most; presses += 1) {
    if (await wanted.evaluateAll((found) => found.includes(document.activeElement as never))) return
    await page.keyboard.press('Tab')
  }
  throw new Error(`${most} presses of Tab do not lead to ${wanted.toString()}`)
}

/** Opens the form, and finds the focus in its first field. */
async function open(page: Page, path: string, button: string, first: string): Promise<Locator> {
  await page.goto(path)
  const opener = page.getByRole('button', { name: button, exact: true }).first()
  await expect(opener).toBeVisible()
  await tabTo(page, opener)
  await page.keyboard.press('Enter')
  const panel = page.getByRole('dialog')
  await expect(panel.getByLabel(first, { exact: true })).toBeFocused()
  return panel
}

async function send(page: Page, panel: Locator, submit: string): Promise<void> {
  await tabTo(page, panel.getByRole('button', { name: submit, exact: true }))
  await page.keyboard.press('Enter')
  await expect(panel).toHaveCount(0)
}

for (const colorScheme of ['dark', 'light'] as const) {
  test(`an administrator makes everything a connection needs with keys alone, ${colorScheme}`, async ({ browserFor, world, picture }) => {
    test.setTimeout(180_000)
    const administrator = await world.person([], ['admin'])
    const page = await browserFor(administrator.api, { colorScheme })
    const name = unique('keys')

    // A site and a zone; a form that is left with changes asks.
    let panel = await open(page, '/sites', 'New site', 'Name')
    await page.keyboard.type(name)
    await tabTo(page, panel.getByLabel('Code', { exact: true }))
    await page.keyboard.press('Control+a')
    await page.keyboard.type(name)
    await picture(page, `keys-site-${colorScheme}`)
    await send(page, panel, 'Create site')
    panel = await open(page, '/zones', 'New zone', 'Name')
    await page.keyboard.type(name)
    await page.keyboard.press('Escape')
    await expect(page.getByRole('dialog', { name: 'Leave without saving?' })).toBeVisible()
    await picture(page, `keys-leave-${colorScheme}`)
    await page.keyboard.press('Escape')
    await expect(panel.getByLabel('Name', { exact: true })).toHaveValue(name)
    await picture(page, `keys-zone-${colorScheme}`)
    await send(page, panel, 'Create zone')

    panel = await open(page, '/groups', 'New group', 'Name')
    await page.keyboard.type(name)
    await picture(page, `keys-group-${colorScheme}`)
    await send(page, panel, 'Create group')

    panel = await open(page, '/credentials', 'New credential', 'Name')
    await page.keyboard.type(name)
    await tabTo(page, panel.getByLabel('Log in as'))
    await page.keyboard.type('root')
    await tabTo(page, panel.getByLabel('Password', { exact: true }))
    await page.keyboard.type(unique('secret'))
    await picture(page, `keys-credential-${colorScheme}`)
    await send(page, panel, 'Create credential')

    panel = await open(page, '/users', 'New local user', 'User name')
    await page.keyboard.type(name)
    await tabTo(page, panel.getByLabel('Password', { exact: true }))
    await page.keyboard.type(unique('a-long-password'))
    await picture(page, `keys-user-${colorScheme}`)
    await send(page, panel, 'Create user')

    // A target with zone, group and credential that are chosen by keys.
    panel = await open(page, '/targets', 'New target', 'Name')
    await page.keyboard.type(name)
    await tabTo(page, panel.getByLabel('Host', { exact: true }))
    await page.keyboard.type('127.0.0.1')
    await tabTo(page, panel.getByLabel('Zone', { exact: true }))
    await page.keyboard.type(name)
    for (const noun of ['groups', 'credentials']) {
      await tabTo(page, panel.getByText(`Add ${noun}`))
      await page.keyboard.press('Enter')
      await expect(page.getByPlaceholder(`Find ${noun}…`)).toBeFocused()
      await page.keyboard.type(name)
      await page.keyboard.press('Enter')
      await page.keyboard.press('Escape')
      await expect(panel.getByRole('button', { name: `Remove ${name}` })).toHaveCount(noun === 'groups' ? 1 : 2)
    }
    await picture(page, `keys-target-${colorScheme}`)
    await send(page, panel, 'Create target')
    await expect(page.getByRole('heading', { level: 1, name })).toBeVisible()
    await picture(page, `keys-target-made-${colorScheme}`)

    // A program with a token, which is shown once and copied by keys.
    panel = await open(page, '/service-accounts', 'New service account', 'Name')
    await page.keyboard.type(name)
    await send(page, panel, 'Create service account')
    await expect(page.getByRole('heading', { level: 1, name })).toBeVisible()
    await tabTo(page, page.getByRole('button', { name: 'New token' }).first())
    await page.keyboard.press('Enter')
    await expect(panel.getByLabel('Name', { exact: true })).toBeFocused()
    await page.keyboard.type(name)
    await picture(page, `keys-token-${colorScheme}`)
    await tabTo(page, panel.getByRole('button', { name: 'Create token', exact: true }))
    await page.keyboard.press('Enter')
    await expect(page.getByRole('dialog')).toContainText('opat_')
    await picture(page, `keys-token-made-${colorScheme}`)
    await tabTo(page, page.getByRole('dialog').getByRole('button', { name: /^Copy/ }).first())
    await page.keyboard.press('Enter')
    expect(await page.evaluate(() => navigator.clipboard.readText())).toMatch(/^opat_/)
  })
}

test('settings and retention are changed with keys, and pages without anything say how to begin', async ({ browserFor, world, picture }) => {
  const administrator = await world.person([], ['admin'])
  const page = await browserFor(administrator.api, { colorScheme: 'light' })
  await page.goto('/settings')
  const visible = page.getByLabel('People see who watches their sessions')
  await expect(visible).toBeVisible()
  await tabTo(page, visible)
  const before = await visible.getAttribute('aria-checked')
  await page.keyboard.press('Space')
  await expect(visible).not.toHaveAttribute('aria-checked', before ?? '')
  await tabTo(page, page.getByRole('button', { name: 'Save settings' }))
  await page.keyboard.press('Enter')
  await expect(page.getByText('Settings saved')).toBeVisible()
  await picture(page, 'keys-settings')
  await world.admin.patch('/admin/settings', { watch_visible: true })
  const nobody = await world.person([])
  const user = await browserFor(nobody.api, { colorScheme: 'light' })
  for (const [path, says] of [
    ['/', /target/i],
    ['/my-sessions', /session/i],
  ] as const) {
    await user.goto(path)
    await expect(user.getByRole('main').locator('p.font-medium').filter({ hasText: says })).toBeVisible()
    await picture(user, `empty-${path === '/' ? 'launcher' : path.slice(1)}`)
  }
})
