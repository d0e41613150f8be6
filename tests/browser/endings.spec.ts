/** How sessions end against the person's will, and what the person is told. */
import { expect, test } from './support/fixtures.ts'
import { Terminal } from './support/terminal.ts'
import { eventually } from './support/wait.ts'

/** The hub takes a second at most, which its own tests measure; here a busy browser paints it. */
const PROMPTLY = 10_000

test.beforeEach(({ watch }) => watch.expect('Failed to load resource', 'WebSocket connection to'))

test('an operator ends a session from the sessions page', async ({ browserFor, world, picture }) => {
  const { person, target } = await world.personWithTarget({ environment: 'production' })
  const operator = await world.person([], ['operator'])
  const page = await browserFor(person.api)
  const terminal = await Terminal.open(page, target)
  const watching = await browserFor(operator.api)
  await watching.goto('/sessions?status=active')
  await watching.getByRole('button', { name: `Actions for the session on ${target.name}` }).click()
  await watching.getByRole('menuitem', { name: 'End…' }).click()
  const dialog = watching.getByRole('dialog')
  await expect(dialog).toContainText('is disconnected')
  await dialog.getByLabel('Reason').fill('Change freeze')
  await dialog.getByRole('button', { name: 'End session' }).click()
  await expect(terminal.ending).toContainText('This session was ended', { timeout: PROMPTLY })
  await expect(terminal.ending).toContainText('Change freeze')
  await expect(terminal.status).toContainText('Ended')
  await picture(page, 'terminal-ended-by-operator')
  await expect(watching.getByText(`The session on ${target.name} was ended`)).toBeVisible()
  await expect(terminal.ending.getByRole('button', { name: 'Connect again' })).toBeVisible()
})

test('an auditor sees sessions and cannot end them', async ({ browserFor, world }) => {
  const { person, target } = await world.personWithTarget()
  const auditor = await world.person([], ['auditor'])
  const page = await browserFor(person.api)
  await Terminal.open(page, target)
  const watching = await browserFor(auditor.api)
  await watching.goto('/sessions?status=active')
  await watching.getByRole('button', { name: `Actions for the session on ${target.name}` }).click()
  await expect(watching.getByRole('menuitem', { name: 'Show details' })).toBeVisible()
  await expect(watching.getByRole('menuitem', { name: 'End…' })).toHaveCount(0)
})

test('access that is taken away ends the session within seconds', async ({ browserFor, world, picture }) => {
  const { person, target } = await world.personWithTarget()
  const page = await browserFor(person.api)
  const terminal = await Terminal.open(page, target)
  await world.admin.patch(`/admin/targets/${target.id}`, { group_ids: [] })
  await expect(terminal.ending).toContainText('Your access ended', { timeout: PROMPTLY })
  await picture(page, 'terminal-access-ended')
  // And it does not come back by asking again.
  await page.getByRole('button', { name: 'Connect again' }).click()
  await expect(terminal.ending).toContainText(/access_denied|not_found/)
})

test('a person who is signed out everywhere loses the session and is led to the sign-in', async ({ browserFor, world }) => {
  const { person, target } = await world.personWithTarget()
  const page = await browserFor(person.api)
  const terminal = await Terminal.open(page, target)
  await world.admin.delete(`/admin/users/${person.id}/sessions`)
  await expect(terminal.ending).toContainText('You were signed out', { timeout: PROMPTLY })
  await page.getByRole('button', { name: 'Sign in' }).click()
  await expect(page.getByRole('button', { name: 'Sign in' }).or(page.getByRole('link', { name: 'Continue with Entra ID' })).first()).toBeVisible()
})

test('a hub that restarts: the page waits, says what is lost, and connects again', async ({ browserFor, world, picture }) => {
  test.setTimeout(180_000)
  const { person, target } = await world.personWithTarget()
  const page = await browserFor(person.api)
  const terminal = await Terminal.open(page, target)
  const stopped = world.hub.end('SIGTERM')
  await expect(page.getByRole('status').filter({ hasText: 'restart' }).or(terminal.ending).first()).toBeVisible()
  await stopped
  await world.hub.startAgain()
  await expect(terminal.ending).toContainText(/restart/i, { timeout: 20_000 })
  await picture(page, 'terminal-hub-restarted')
  await terminal.ending.getByRole('button', { name: /Try again|Connect again/ }).click()
  await terminal.ready()
  // The hard way: nothing is said, the session is gone when the hub is back.
  await world.hub.end('SIGKILL')
  await expect(terminal.status).toContainText('Reconnecting')
  await world.hub.startAgain()
  await expect(terminal.ending).toContainText('The session is no longer there', { timeout: 20_000 })
  await terminal.ending.getByRole('button', { name: 'Connect again' }).click()
  await terminal.ready()
  await eventually('no session stays active for ever', async () => {
    const { items } = await person.api.get<{ items: unknown[] }>('/sessions?status=active')
    return items.length === 1
    // Others wait for a hub that says nothing: 40 s, and until they look.
  }, 70_000)
})
