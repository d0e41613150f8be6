/** Signing in: through the provider, with a local account, and everything that can go wrong with it. */
import { closedPort } from './support/proxy.ts'
import { expect, type Page, test } from './support/fixtures.ts'
import { OwnHub } from './support/own-hub.ts'
import { stack, stackUser } from './support/stack.ts'

const heading = (page: Page, name: string) => page.getByRole('heading', { level: 1, name })

/** What the provider asks. */
async function answerProvider(page: Page, username: string, password: string): Promise<void> {
  await page.getByLabel('User name').fill(username)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

async function signInLocally(page: Page, username: string, password: string): Promise<void> {
  const other = page.getByRole('button', { name: 'Use a local account instead' })
  const field = page.getByLabel('User name')
  await expect(other.or(field)).toBeVisible()
  if (await other.isVisible()) await other.click()
  await page.getByLabel('User name').fill(username)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

test('through the provider, back to the page that was asked for', async ({ browserFor, picture }) => {
  const page = await browserFor(null)
  const alice = stackUser('alice', 'oidc')
  await page.goto('/users?q=alice')
  await expect(page.getByRole('link', { name: 'Continue with Entra ID' })).toBeVisible()
  await picture(page, 'sign-in')
  await page.getByRole('link', { name: 'Continue with Entra ID' }).click()
  await expect(heading(page, 'Sign in')).toBeVisible()
  await answerProvider(page, alice.username, 'not her password')
  await expect(page.getByRole('alert')).toContainText('not right')
  await answerProvider(page, alice.username, alice.password)
  await expect(heading(page, 'Users')).toBeVisible()
  expect(new URL(page.url()).pathname + new URL(page.url()).search).toBe('/users?q=alice')
  await expect(page.getByRole('cell', { name: /Alice Archer/ }).or(page.getByText('Alice Archer')).first()).toBeVisible()
})

test('with a local account: a wrong password says so, the right one leads in', async ({ browserFor, world, watch, picture }) => {
  watch.expect('/api/v1/auth/local')
  const person = await world.person([])
  watch.secret(person.password)
  const page = await browserFor(null)
  await page.goto('/login')
  await expect(page.getByRole('button', { name: 'Use a local account instead' })).toBeVisible()
  await page.getByRole('button', { name: 'Use a local account instead' }).click()
  await picture(page, 'sign-in-local')
  await signInLocally(page, person.username, 'not-the-password')
  await expect(page.getByRole('alert')).toContainText('The user name or the password is wrong')
  await expect(page.getByLabel('Password')).toHaveValue('')
  await signInLocally(page, person.username, person.password)
  await expect(heading(page, 'Launcher')).toBeVisible()
  const cookie = (await page.context().cookies()).find(({ name }) => name === 'openpam')
  expect(cookie, 'the cookie is out of reach of scripts').toMatchObject({ httpOnly: true, sameSite: 'Lax' })
})

test('a sign-in that ended leads to the sign-in and back to the same place', async ({ browserFor, world, watch }) => {
  watch.expect('status of 401')
  const person = await world.person([])
  const page = await browserFor(person.api)
  await page.goto('/my-sessions?status=completed')
  await expect(heading(page, 'My sessions')).toBeVisible()
  await world.admin.delete(`/admin/users/${person.id}/sessions`)
  // The list renews itself, and is told.
  await expect(page.getByRole('status').filter({ hasText: 'Your sign-in has ended' })).toBeVisible()
  await signInLocally(page, person.username, person.password)
  await expect(heading(page, 'My sessions')).toBeVisible()
  expect(new URL(page.url()).search).toBe('?status=completed')
})

test('signing out ends the sign-in here and at the provider', async ({ browserFor }) => {
  const page = await browserFor(null)
  const carol = stackUser('carol', 'oidc')
  await page.goto('/login')
  await page.getByRole('link', { name: 'Continue with Entra ID' }).click()
  await answerProvider(page, carol.username, carol.password)
  await expect(heading(page, 'Launcher')).toBeVisible()
  const cookies = await page.context().cookies()
  await page.getByRole('button', { name: /^You:/ }).click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await expect(page.getByRole('link', { name: 'Continue with Entra ID' })).toBeVisible()
  // The provider asks again: it has forgotten her too.
  await page.getByRole('link', { name: 'Continue with Entra ID' }).click()
  await expect(page.getByLabel('Password')).toBeVisible()
  const old = cookies.find(({ name }) => name === 'openpam')
  const answer = await page.request.get('/api/v1/auth/me', { headers: { cookie: `openpam=${old?.value}` } })
  expect(answer.status(), 'the old cookie opens nothing').toBe(401)
})

/** Walks to the provider and back, and keeps the address of the callback instead of following it. */
async function takeCallback(page: Page, username: string): Promise<URL> {
  const user = stackUser(username, 'oidc')
  await page.goto('/login')
  await page.getByRole('link', { name: 'Continue with Entra ID' }).click()
  await expect(page.getByLabel('Password')).toBeVisible()
  // Routes of Playwright do not see where a redirect leads; the protocol does.
  const client = await page.context().newCDPSession(page)
  const taken = new Promise<string>((resolve) => {
    client.on('Fetch.requestPaused', ({ requestId, request }) => {
      resolve(request.url)
      void client.send('Fetch.failRequest', { requestId, errorReason: 'Aborted' })
    })
  })
  await client.send('Fetch.enable', { patterns: [{ urlPattern: '*/api/v1/auth/callback?*' }] })
  await answerProvider(page, user.username, user.password)
  const url = new URL(await taken)
  await client.detach()
  return url
}

test('a callback works once: replayed, its state is refused in words', async ({ browserFor }) => {
  const page = await browserFor(null)
  const callback = await takeCallback(page, 'bob')
  await page.goto(callback.href)
  await expect(heading(page, 'Launcher')).toBeVisible()
  await page.goto(callback.href)
  await expect(page.getByRole('alert')).toContainText('This sign-in was used already')
  await expect(page.getByRole('alert')).toContainText('login_state_invalid')
})

test('a code the provider no longer takes is refused in words', async ({ browserFor, picture }) => {
  const page = await browserFor(null)
  const callback = await takeCallback(page, 'bob')
  callback.searchParams.set('code', 'a-code-that-has-expired')
  await page.goto(callback.href)
  await expect(page.getByRole('alert')).toContainText('The provider did not accept the sign-in')
  await expect(page.getByRole('alert')).toContainText('login_code_rejected')
  await picture(page, 'sign-in-code-rejected')
})

test('who gave up at the provider is told so', async ({ browserFor }) => {
  const page = await browserFor(null)
  const callback = await takeCallback(page, 'bob')
  callback.searchParams.delete('code')
  callback.searchParams.set('error', 'access_denied')
  await page.goto(callback.href)
  await expect(page.getByRole('alert')).toContainText('The provider refused the sign-in')
})

test('a provider that is down leaves the local account', async ({ browser }) => {
  const issuer = stack.servers.oidc.issuer.replace(/:\d+\//, `:${await closedPort()}/`)
  const hub = await OwnHub.start({ issuer })
  try {
    const page = await browser.newPage({ baseURL: hub.url })
    await page.goto('/login')
    await page.getByRole('link', { name: 'Continue with Entra ID' }).click()
    await expect(page.getByRole('alert')).toContainText('The sign-in provider cannot be reached')
    await expect(page.getByRole('alert')).toContainText('identity_provider_unavailable')
    await signInLocally(page, 'admin', hub.adminPassword)
    await expect(heading(page, 'Launcher')).toBeVisible()
    await page.close()
  } finally {
    await hub.stop()
  }
})

test('an address of another site is not a place to return to', async ({ browserFor, world, watch }) => {
  // A page that listens for changes asks once more after its cookie has gone.
  watch.expect('status of 401')
  const person = await world.person([])
  const page = await browserFor(null)
  for (const bad of ['https://evil.example/', '//evil.example/', '/\\evil.example', 'javascript:alert(1)']) {
    await page.goto(`/login?return_to=${encodeURIComponent(bad)}`)
    await signInLocally(page, person.username, person.password)
    await expect(heading(page, 'Launcher')).toBeVisible()
    expect(new URL(page.url()).origin).toBe(world.url)
    await page.context().clearCookies()
  }
})
