/** Whoever works stays signed in. In a file of its own: the idle time is as short as the hub allows. */
import { expect, test } from './support/fixtures.ts'

test.use({ hubOptions: { identity: { idle_timeout_seconds: 60 } } })

test('moving and typing without asking for anything keeps the sign-in', async ({ browserFor, world }) => {
  test.setTimeout(120_000)
  const person = await world.person([])
  const page = await browserFor(person.api)
  await page.goto('/profile')
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible()
  const renewed = page.waitForResponse((response) => response.url().endsWith('/api/v1/auth/refresh'), { timeout: 60_000 })
  let working = true
  const answer = renewed.finally(() => (working = false))
  for (let x = 0; working; x = (x + 10) % 300) {
    await page.mouse.move(400 + x, 300)
    await Promise.race([answer.catch(() => undefined), new Promise((resolve) => setTimeout(resolve, 1000))])
  }
  const response = await answer
  expect(response.status()).toBe(200)
  const me = (await response.json()) as { auth_session: { idle_expires_at: string } }
  expect(Date.parse(me.auth_session.idle_expires_at) - Date.now()).toBeGreaterThan(40_000)
  // The fresh cookie works.
  await page.goto('/my-sessions')
  await expect(page.getByRole('heading', { level: 1, name: 'My sessions' })).toBeVisible()
})
