/** A session that nobody types into. In a file of its own: no other test may be slower than this limit. */
import { expect, test } from './support/fixtures.ts'
import { Terminal } from './support/terminal.ts'

test.use({ hubOptions: { terminal: { idle_timeout_seconds: 15 } } })

test.beforeEach(({ watch }) => watch.expect('Failed to load resource', 'WebSocket connection to'))

test('a session without a key ends when its time is over', async ({ browserFor, world }) => {
  const { person, target } = await world.personWithTarget()
  const page = await browserFor(person.api)
  const terminal = await Terminal.open(page, target)
  const warning = page.getByText('Press a key to keep it')
  await expect(warning).toBeVisible({ timeout: 15_000 })
  await page.keyboard.press('Space')
  await expect(warning).toBeHidden()
  await expect(warning).toBeVisible({ timeout: 15_000 })
  await expect(terminal.ending).toContainText('Ended because nothing happened', { timeout: 60_000 })
  await expect(terminal.ending).toContainText('idle_timeout')
  await page.getByRole('button', { name: 'Connect again' }).click()
  await terminal.ready()
})
