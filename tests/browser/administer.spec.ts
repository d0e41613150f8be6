/** What an administrator makes and tries out. */
import { closedPort } from './support/proxy.ts'
import { expect, test, unique } from './support/fixtures.ts'

test('whatever is created opens its own page, which has what is still to do', async ({ browserFor, world, picture }) => {
  const administrator = await world.person([], ['admin'])
  const page = await browserFor(administrator.api)
  const panel = page.getByRole('dialog')
  const name = unique('made')
  const create = async (path: string, button: string, fill: () => Promise<void>, submit: string) => {
    await page.goto(path)
    await page.getByRole('button', { name: button }).first().click()
    await fill()
    await panel.getByRole('button', { name: submit }).click()
    await expect(page).toHaveURL(new RegExp(`${path}/[0-9a-f-]{36}$`))
    await expect(page.getByRole('heading', { level: 1, name })).toBeVisible()
    await expect(panel).toHaveCount(0)
  }
  await create('/groups', 'New group', () => panel.getByLabel('Name').fill(name), 'Create group')
  await create('/service-accounts', 'New service account', () => panel.getByLabel('Name').fill(name), 'Create service account')
  await create('/users', 'New local user', async () => {
    await panel.getByLabel('User name').fill(name)
    await panel.getByLabel('Password').fill('short')
    await panel.getByLabel('Password').blur()
    await expect(panel).toContainText('This is too short.')
    await picture(page, 'form-user')
    await panel.getByLabel('Password').fill(unique('a-long-password'))
  }, 'Create user')
  await create('/credentials', 'New credential', async () => {
    await panel.getByLabel('Name', { exact: true }).fill(name)
    await panel.getByLabel('Log in as').fill('root')
    await panel.getByLabel('Password').fill(unique('secret'))
  }, 'Create credential')
})

test('users stand in the order of the name that is shown for it', async ({ browserFor, world, picture }) => {
  const administrator = await world.person([], ['admin'])
  await world.person([])
  const page = await browserFor(administrator.api)
  await page.goto('/users')
  await expect(page.getByRole('columnheader', { name: 'User name' })).toHaveAttribute('aria-sort', 'ascending')
  const names = await page.locator('tbody tr td:nth-child(2)').allInnerTexts()
  expect(names.length).toBeGreaterThan(1)
  expect(names).toEqual(names.toSorted((a, b) => a.toLowerCase().localeCompare(b.toLowerCase())))
  await picture(page, 'users')
})

test('a connection test that fails says under which id the hub wrote it down', async ({ browserFor, world, picture }) => {
  const { target } = await world.personWithTarget({ port: await closedPort() })
  const administrator = await world.person([], ['admin'])
  const page = await browserFor(administrator.api)
  await page.goto(`/targets/${target.id}`)
  await page.getByRole('button', { name: 'Test', exact: true }).click()
  const result = page.getByRole('status').filter({ hasText: 'It does not work yet' })
  await expect(result).toContainText('target_refused')
  const requestId = /Request id\s+(\S+)/.exec(await result.innerText())?.[1] ?? ''
  await result.getByRole('button', { name: 'Copy request id' }).click()
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(requestId)
  expect(requestId.length).toBeGreaterThan(10)
  await picture(page, 'connection-test-failed')
})
