/** Who is locked out, what a change was, what the hub offers to programs: pages that are read. */
import { expect, test, unique, type Page } from './support/fixtures.ts'
import { findings } from './support/findings.ts'

const NARROW = { viewport: { width: 390, height: 844 } }

/** Whether something makes the page itself scroll sideways. */
const overflows = (page: Page) => page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth)

test('a locked account says until when, and is unlocked', async ({ browserFor, world, picture }) => {
  const [administrator, person] = [await world.person([], ['admin']), await world.person([])]
  for (let attempt = 0; attempt < 11; attempt += 1) {
    await fetch(`${world.url}/api/v1/auth/local`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: world.url },
      body: JSON.stringify({ tenant: world.hub.tenant, username: person.username, password: 'wrong' }),
    })
  }
  const page = await browserFor(administrator.api)
  await page.goto(`/users?q=${person.username}`)
  const row = page.getByRole('row', { name: person.username })
  await expect(row).toContainText(/Locked until \d\d:\d\d/)
  await picture(page, 'users-locked')
  await page.goto(`/users/${person.id}`)
  await expect(page.getByText(/^Locked until \d\d:\d\d$/)).toBeVisible()
  await picture(page, 'user-locked')
  const small = await browserFor(administrator.api, { ...NARROW, colorScheme: 'light' })
  await small.goto(`/users?q=${person.username}`)
  await expect(small.getByText(/^Locked until/)).toBeVisible()
  expect(await overflows(small)).toBe(false)
  await picture(small, 'users-narrow')
  await page.getByRole('button', { name: 'Unlock', exact: true }).click()
  await expect(page.getByText(/^Locked until/)).toHaveCount(0)
  await expect(page.getByRole('button', { name: 'Unlock', exact: true })).toHaveCount(0)
})

test('an entry of the ledger shows what changed as a table, and gives its JSON', async ({ browserFor, world, picture }) => {
  const [administrator, person] = [await world.person([], ['admin']), await world.person([], ['auditor'])]
  const name = unique('Changed')
  await world.admin.patch(`/admin/users/${person.id}`, { display_name: name, email: 'somebody.with.a.long.address@example.com', roles: ['operator'], enabled: false })
  const open = async (page: Page) => {
    await page.goto('/ledger')
    // Evidence has a date, not only an age.
    const row = page.getByRole('row').filter({ has: page.getByRole('button') }).first()
    await expect(row.getByRole('time')).toHaveText(new RegExp(`^\\d{2} \\w{3,4} ${new Date().getUTCFullYear()}\\s*\\d{2}:\\d{2}:\\d{2}$`))
    expect(await overflows(page)).toBe(false)
    await picture(page, `ledger-rows-${page.viewportSize()?.width}`)
    await page.goto(`/ledger?object_id=${person.id}&action=user.update`)
    await page.getByRole('cell').getByRole('button', { name: 'User changed' }).click()
    await expect(page.getByRole('dialog').getByRole('table')).toBeVisible()
    return page.getByRole('dialog')
  }
  const page = await browserFor(administrator.api)
  const panel = await open(page)
  const cells = async (field: string) => panel.getByRole('row', { name: new RegExp(`^${field}\\b`) }).getByRole('cell').allInnerTexts()
  expect(await cells('Roles')).toEqual(['Auditor', 'Operator'])
  expect(await cells('Enabled')).toEqual(['Yes', 'No'])
  expect((await cells('E-mail'))[0]).toBe('None')
  expect((await cells('Name'))[1]).toBe(name)
  await expect(panel).toContainText('Sign-ins ended')
  // The row itself, as the database had it before and after.
  await panel.getByText(/^Users changed/).click()
  const row = panel.getByRole('table').nth(1).getByRole('row', { name: /^Name\b/ })
  expect((await row.getByRole('cell').allInnerTexts())[1]).toBe(name)
  // What the columns of secrets hold is in no image.
  await expect(panel).not.toContainText(/(password|secret)[ _]hash/i)
  await picture(page, 'ledger-entry')
  await panel.getByRole('button', { name: 'Copy as JSON' }).click()
  await expect(panel.getByRole('button', { name: 'Copied' })).toBeVisible()
  const copied = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()))
  expect(copied.detail.changes.enabled).toEqual([true, false])
  expect(await findings(page)).toEqual([])
  const small = await browserFor(administrator.api, { ...NARROW, colorScheme: 'light' })
  await open(small)
  expect(await overflows(small)).toBe(false)
  await picture(small, 'ledger-entry-narrow')
})

test('the API reference lists everything, is searched, and keeps a strict policy', async ({ browserFor, world, picture }) => {
  const answer = await fetch(`${world.url}/api/docs`)
  expect(answer.headers.get('content-security-policy')).not.toMatch(/unsafe|https?:|\*|data:/)
  // Nobody has to be signed in; what breaks the policy or asks another origin fails the test.
  const page = await browserFor(null)
  await page.goto('/api/docs')
  await expect(page.getByRole('heading', { level: 1 })).toContainText('API reference')
  const { paths } = (await (await fetch(`${world.url}/api/openapi.json`)).json()) as { paths: Record<string, object> }
  const total = Object.values(paths).reduce((sum, methods) => sum + Object.keys(methods).length, 0)
  await expect(page.getByRole('article')).toHaveCount(total)
  await picture(page, 'api-docs-dark')
  expect(await findings(page)).toEqual([])
  await page.keyboard.press('/')
  await page.keyboard.type('unlock')
  await expect(page.getByRole('article')).toHaveCount(1)
  await page.getByRole('button', { name: 'Copy as curl' }).click()
  expect(await page.evaluate(() => navigator.clipboard.readText())).toContain(`curl -X POST '${world.url}/api/v1/admin/users/{id}/unlock'`)
  // A link to what the search hides shows it.
  await page.getByRole('link', { name: 'ProblemBody' }).first().click()
  await expect(page.locator('#type-ProblemBody')).toHaveAttribute('open', '')
  await expect(page.locator('#type-ProblemBody')).toBeInViewport()
  await expect(page.getByRole('searchbox')).toHaveValue('')
  // And so it does again, although the address stays as it is.
  await page.keyboard.press('/')
  await page.keyboard.type('unlock')
  await expect(page.getByRole('article')).toHaveCount(1)
  await page.getByRole('link', { name: 'ProblemBody' }).first().click()
  await expect(page.locator('#type-ProblemBody')).toBeInViewport()
  const light = await browserFor(null, { colorScheme: 'light' })
  await light.goto('/api/docs#create_target')
  await expect(light.locator('#create_target')).toBeInViewport()
  await picture(light, 'api-docs-light')
  const small = await browserFor(null, { ...NARROW, colorScheme: 'light' })
  await small.goto('/api/docs')
  await expect(small.getByRole('article').first()).toBeVisible()
  expect(await overflows(small)).toBe(false)
  await picture(small, 'api-docs-narrow')
})
