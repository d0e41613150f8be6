/** The launcher: what one may open, found and opened quickly. */
import { expect, type Page, test, unique } from './support/fixtures.ts'
import { Api } from './support/api.ts'
import { stack, stackUser } from './support/stack.ts'
import { Terminal } from './support/terminal.ts'

const rows = (page: Page) => page.getByRole('button', { name: /^Connect to / })
const names = async (page: Page) =>
  (await rows(page).allInnerTexts()).map((text) => text.trim()).toSorted()

test('shows the targets of one’s own groups and no others', async ({ browserFor, world, watch, picture }) => {
  const engineers = await world.group(stack.servers.oidc.groups.engineers)
  const others = await world.group()
  const own = await world.target(engineers, { name: unique('web'), trust: false })
  const foreign = await world.target(others, { name: unique('ledger'), trust: false })
  for (const [username, expected] of [['bob', [own.name]], ['dave', []]] as const) {
    const user = stackUser(username, 'oidc')
    const page = await browserFor(null)
    await page.goto('/')
    await page.getByRole('link', { name: 'Continue with Entra ID' }).click()
    await page.getByLabel('User name').fill(user.username)
    await page.getByLabel('Password').fill(user.password)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await expect(page.getByRole('heading', { level: 1, name: 'Launcher' })).toBeVisible()
    if (expected.length === 0) await expect(page.getByText('No targets are open to you yet')).toBeVisible()
    else await expect(rows(page)).toHaveCount(expected.length)
    expect(await names(page)).toEqual(expected)
    await picture(page, `launcher-${username}`)
    // The palette searches the same list.
    await page.keyboard.press('Control+k')
    await page.getByRole('combobox').fill(foreign.name)
    await expect(page.getByText('Nothing is called')).toBeVisible()
    watch.expect(`/api/v1/targets/${foreign.id}`)
    // A foreign target does not open by its address either; it might as well not exist.
    await page.goto(`/terminal?target=${foreign.id}`)
    await expect(page.getByRole('alert')).toContainText('not_found')
  }
})

test.describe('with many targets', () => {
  test('search, zones, tags, favourites and recent ones narrow the list and live in the address', async ({ browserFor, world, watch, picture }) => {
    const group = await world.group()
    const [alpha, beta] = await Promise.all([world.zone(unique('alpha')), world.zone(unique('beta'))])
    const web = await world.target(group, { name: unique('web'), zoneId: alpha, tags: ['linux', 'web'], environment: 'staging' })
    const db = await world.target(group, { name: unique('db'), zoneId: beta, tags: ['linux', 'database'], environment: 'production', trust: false })
    const job = await world.target(group, { name: unique('job'), zoneId: beta, tags: ['batch'], trust: false })
    const person = await world.person([group])
    const page = await browserFor(person.api)
    await page.goto('/')
    await expect(rows(page)).toHaveCount(3)

    const search = page.getByRole('searchbox', { name: 'Find a target…' })
    await search.fill(db.name)
    await expect(rows(page)).toHaveCount(1)
    await expect(page).toHaveURL(new RegExp(`\\?q=${db.name}$`))
    await page.reload()
    await expect(search).toHaveValue(db.name)
    await expect(rows(page)).toHaveCount(1)
    await search.fill('nothing-like-it')
    await expect(page.getByText('No target matches')).toBeVisible()
    await page.getByRole('button', { name: 'Clear all filters' }).click()
    await expect(rows(page)).toHaveCount(3)

    await page.getByRole('button', { name: 'Tag', exact: true }).click()
    await page.getByRole('menuitemcheckbox', { name: 'linux' }).click()
    await expect(rows(page)).toHaveCount(2)
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Remove filter Tag' }).click()
    await page.getByRole('button', { name: 'Zone', exact: true }).click()
    await page.getByRole('menuitemcheckbox', { name: /^beta/ }).click()
    await expect(rows(page)).toHaveCount(2)
    expect(await names(page)).toEqual([db.name, job.name].toSorted())
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Remove filter Zone' }).click()

    await page.getByRole('button', { name: `Add ${job.name} to favourites` }).focus()
    await page.keyboard.press('Enter')
    await expect(page.getByRole('region', { name: 'Favourites' }).getByRole('button', { name: /^Connect to/ })).toHaveText([job.name])
    await page.reload()
    await expect(page.getByRole('region', { name: 'Favourites' }).getByRole('button', { name: /^Connect to/ })).toHaveText([job.name])
    await page.getByRole('button', { name: 'Favourites', exact: true }).click()
    await expect(rows(page)).toHaveCount(1)
    await page.getByRole('button', { name: 'Favourites', exact: true }).click()

    // One that was used stands under Recent from then on.
    watch.expect('beforeunload')
    page.on('dialog', (dialog) => void dialog.accept())
    await page.getByRole('button', { name: `Connect to ${web.name}` }).click()
    await new Terminal(page).ready()
    await page.getByRole('link', { name: 'Back to the launcher' }).click()
    await expect(page.getByRole('region', { name: 'Recent' }).getByRole('button', { name: /^Connect to/ })).toHaveText([web.name])
    await picture(page, 'launcher')
  })

  test('Control-K finds a target and opens it', async ({ browserFor, world }) => {
    const { person, target } = await world.personWithTarget({ name: unique('palette') })
    const page = await browserFor(person.api)
    await page.goto('/my-sessions')
    await expect(page.getByRole('heading', { level: 1 })).toBeVisible()
    await page.keyboard.press('Control+k')
    await page.getByRole('combobox').fill(target.name)
    await expect(page.getByRole('option')).toHaveCount(1)
    await page.keyboard.press('Enter')
    const terminal = new Terminal(page)
    await terminal.ready()
    // From now on Control-K is the shell's: it deletes to the end of the line.
    await terminal.type('echo gone')
    await page.keyboard.press('Control+a')
    await page.keyboard.press('Control+k')
    await expect(page.getByRole('combobox')).toHaveCount(0)
    await terminal.run('echo ki""ll', /^kill$/m)
    expect(await terminal.text()).not.toMatch(/^gone/m)
    await page.keyboard.press('Control+Shift+k')
    await expect(page.getByRole('combobox')).toBeVisible()
  })
})

test('the picker of the terminal opens what was typed, never a row of the list before', async ({ browserFor, world }) => {
  const { person, groupId } = await world.personWithTarget({ name: unique('alpha') })
  const other = await world.target(groupId, { name: unique('omega') })
  const page = await browserFor(person.api)
  await page.goto('/terminal')
  await expect(page.getByRole('option')).toHaveCount(2)
  // The answer comes late: the old list is still there when Enter is pressed.
  await page.route('**/api/v1/targets?*', async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 700))
    await route.continue()
  })
  await page.getByRole('combobox').pressSequentially(other.name)
  await page.keyboard.press('Enter')
  await expect(page.getByRole('option')).toHaveCount(1)
  await expect(page.getByRole('tab')).toHaveCount(0)
  await page.keyboard.press('Enter')
  await expect(page.getByRole('tab')).toHaveText([new RegExp(other.name)])
})

test('Enter in the launcher waits for the list that fits what was typed', async ({ browserFor, world }) => {
  const { person, groupId } = await world.personWithTarget({ name: unique('alpha') })
  const other = await world.target(groupId, { name: unique('omega') })
  const page = await browserFor(person.api)
  await page.goto('/')
  await expect(rows(page)).toHaveCount(2)
  await page.route('**/api/v1/targets?*', async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 700))
    await route.continue()
  })
  await page.getByRole('searchbox').first().pressSequentially(other.name)
  await page.keyboard.press('Enter')
  await new Terminal(page).ready()
  await expect(page.getByRole('tab')).toHaveText([new RegExp(other.name)])
})

test('a target with several credentials asks which, one with a reason asks why', async ({ browserFor, world, picture }) => {
  const second = await world.passwordCredential()
  const { person, target } = await world.personWithTarget({
    credentialIds: [await world.goodCredential(), second],
    reason_required: true,
  })
  const page = await browserFor(person.api)
  await page.goto('/')
  await rows(page).first().click()
  const dialog = page.getByRole('dialog', { name: `Connect to ${target.name}` })
  await expect(dialog).toBeVisible()
  await expect(dialog.getByRole('radio')).toHaveCount(2)
  await expect(dialog.getByRole('button', { name: 'Connect' })).toBeDisabled()
  await dialog.getByLabel('Reason').fill('Ticket 4711')
  await picture(page, 'launcher-reason')
  await dialog.getByRole('button', { name: 'Connect' }).click()
  const terminal = new Terminal(page)
  await terminal.ready()
  expect(page.url(), 'the reason is not in the address').not.toContain('4711')
  const { items } = await person.api.get<{ items: { reason: string }[] }>('/sessions?status=active')
  expect(items.map(({ reason }) => reason)).toEqual(['Ticket 4711'])
})

test('a terminal that waits for an answer takes neither keys nor a paste', async ({ browserFor, world, picture }) => {
  const second = await world.passwordCredential()
  const { person, target } = await world.personWithTarget({ credentialIds: [await world.goodCredential(), second] })
  const page = await browserFor(person.api)
  await page.goto(`/terminal?target=${target.id}`)
  const connect = page.getByRole('button', { name: 'Connect', exact: true })
  await expect(page.getByRole('radio').first()).toBeFocused()
  await picture(page, 'terminal-log-in-as')
  await page.evaluate(() => navigator.clipboard.writeText('one\ntwo\n'))
  for (const place of [page.getByRole('radio').first(), page.locator('[data-pane] .xterm')]) {
    // Even what reaches the terminal past the form that covers it.
    await place.evaluate((element) => {
      const data = new DataTransfer()
      data.setData('text/plain', 'one\ntwo\n')
      element.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }))
    })
  }
  await page.keyboard.press('Control+Shift+v')
  await page.keyboard.type('typed too early')
  await expect(page.locator('.xterm-helper-textarea:focus')).toHaveCount(0)
  await expect(page.getByRole('dialog')).toHaveCount(0)
  await connect.click()
  const terminal = new Terminal(page)
  await terminal.ready()
  expect(await terminal.text()).not.toContain('typed')
})

test('signing out names the terminals of this browser, not those of another', async ({ browserFor, world, watch, picture }) => {
  // Who looks for sessions left open may ask once more in the moment in which one signs out.
  watch.expect('/api/v1/sessions?')
  const group = await world.group()
  const [here, elsewhere] = await Promise.all([world.target(group), world.target(group)])
  const person = await world.person([group])
  const page = await browserFor(person.api)
  const again = await new Api(world.url).signIn(world.hub.tenant, person.username, person.password)
  const other = await browserFor(again)
  for (const [each, target] of [[page, here], [other, elsewhere]] as const) {
    each.on('dialog', (dialog) => void dialog.accept())
    await Terminal.open(each, target)
  }
  await page.getByRole('link', { name: 'Back to the launcher' }).click()
  await page.getByRole('button', { name: /^You:/ }).click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  const dialog = page.getByRole('dialog', { name: 'Sign out?' })
  await expect(dialog).toContainText(`on ${here.name}`)
  await expect(dialog).not.toContainText(elsewhere.name)
  await picture(page, 'sign-out')
  await dialog.getByRole('button', { name: 'Sign out' }).click()
  await expect(page.getByText('You are signed out')).toBeVisible()
  await new Terminal(other).run('echo sti""ll', /^still$/m)
})

test('what an administrator tells everybody is above the targets, as plain text', async ({ browserFor, world }) => {
  const person = await world.person([])
  const page = await browserFor(person.api)
  await page.goto('/')
  await expect(page.getByText('No targets are open to you yet')).toBeVisible()
  await expect(page.getByRole('complementary', { name: 'Message of the day' })).toHaveCount(0)
  await world.admin.patch('/admin/settings', { motd: 'Maintenance <b>tonight</b>\nSave your work.' })
  try {
    await page.reload()
    const message = page.getByRole('complementary', { name: 'Message of the day' })
    await expect(message).toHaveText('Maintenance <b>tonight</b>\nSave your work.')
  } finally {
    await world.admin.patch('/admin/settings', { motd: null })
  }
})

test('the keys of the launcher work wherever the focus is, and are left alone in a dialog', async ({ browserFor, world }) => {
  const group = await world.group()
  const [web] = await Promise.all([world.target(group, { name: unique('web'), trust: false }), world.target(group, { name: unique('job'), trust: false })])
  const person = await world.person([group])
  const page = await browserFor(person.api)
  await page.goto('/')
  await expect(rows(page)).toHaveCount(2)
  const search = page.getByRole('searchbox', { name: 'Find a target…' })
  await page.keyboard.press('ArrowDown')
  await expect(rows(page).first()).toBeFocused()
  await page.reload()
  await expect(rows(page)).toHaveCount(2)
  await page.keyboard.press('/')
  await expect(search).toBeFocused()
  await expect(search).toHaveValue('')
  await page.getByRole('heading', { level: 1 }).click()
  await expect(search).not.toBeFocused()
  await page.keyboard.type(web.name)
  await expect(search).toHaveValue(web.name)
  await expect(rows(page)).toHaveCount(1)
  await page.keyboard.press('Control+k')
  await expect(page.getByRole('combobox')).toBeFocused()
  await page.keyboard.type('zzz')
  await expect(page.getByRole('combobox')).toHaveValue('zzz')
  // What is behind a dialog is out of reach until it is closed.
  await page.keyboard.press('Escape')
  await expect(search).toHaveValue(web.name)
})

test('a person in too many directory groups is told why nothing is there', async ({ browserFor }) => {
  const nora = stackUser('nora', 'oidc')
  const page = await browserFor(null)
  await page.goto('/')
  await page.getByRole('link', { name: 'Continue with Entra ID' }).click()
  await page.getByLabel('User name').fill(nora.username)
  await page.getByLabel('Password').fill(nora.password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await expect(page.getByText('more directory groups than the provider puts into a sign-in')).toBeVisible()
})
