/** The stack's own hub, with its demo data, as `deploy/dev up` leaves it. */
import { expect, test } from './support/fixtures.ts'
import { stack, stackUser } from './support/stack.ts'
import { Terminal } from './support/terminal.ts'

test('alice signs in through the provider and works on both demo machines', async ({ browserFor, picture }) => {
  const alice = stackUser('alice', 'oidc')
  const page = await browserFor(null, { baseURL: stack.url })
  page.on('dialog', (dialog) => void dialog.accept())
  await page.goto('/')
  await page.getByRole('link', { name: /Continue with/ }).click()
  await page.getByLabel('User name').fill(alice.username)
  await page.getByLabel('Password').fill(alice.password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'Launcher' })).toBeVisible()
  const terminal = new Terminal(page)
  // One with a password from the vault, one with a certificate that lives for five minutes.
  for (const [name, server] of [['build-01', stack.servers.ssh[0]], ['db-01', stack.servers.ssh[1]]] as const) {
    await page.goto('/')
    await page.getByRole('button', { name: `Connect to ${name}` }).click()
    const choice = page.getByRole('dialog', { name: `Connect to ${name}` })
    await expect(choice.or(terminal.status).first()).toBeVisible()
    if (await choice.isVisible()) await choice.getByRole('button', { name: 'Connect' }).click()
    await expect(page.getByRole('tab', { name: new RegExp(name) })).toBeVisible()
    await terminal.ready()
    await terminal.run('whoami', new RegExp(`^${server.username}$`, 'm'))
    await picture(page, `stack-${name}`)
    await terminal.run('exit')
    await expect(terminal.ending).toBeVisible()
  }
})
