/** Why a terminal does not open: each reason in words, with its code, and a way on. */
import net from 'node:net'
import { expect, type Page, test, unique } from './support/fixtures.ts'
import { SealedVault } from './support/sealed-vault.ts'
import { closedPort, listenOnFreePort } from './support/proxy.ts'
import { stack } from './support/stack.ts'
import { Terminal } from './support/terminal.ts'
import type { Target } from './support/world.ts'

/** Opens the target and waits for why it was refused. */
async function refused(page: Page, target: Pick<Target, 'id' | 'credentialId'>, code: string): Promise<string> {
  await page.goto(`/terminal?target=${target.id}&credential=${target.credentialId}`)
  const ending = new Terminal(page).ending
  await expect(ending).toContainText(code)
  const text = await ending.innerText()
  expect(text.replace(code, '').length, `a sentence for a person: ${text}`).toBeGreaterThan(40)
  await expect(ending.getByRole('button', { name: /Try again|Connect again/ })).toBeVisible()
  return text
}

// What the browser itself says about an answer of 4xx or 5xx, and about a refused upgrade.
test.beforeEach(({ watch }) => watch.expect('Failed to load resource', 'WebSocket connection to'))

test('an unknown target', async ({ browserFor, world }) => {
  const person = await world.person([])
  const page = await browserFor(person.api)
  await refused(page, { id: '019ab000-0000-7000-8000-000000000000', credentialId: '' }, 'not_found')
})

test('a target that is switched off, before and after it is chosen', async ({ browserFor, world }) => {
  const { person, target } = await world.personWithTarget({ enabled: false, trust: false })
  const page = await browserFor(person.api)
  await page.goto('/')
  await page.getByRole('button', { name: `Connect to ${target.name}` }).click()
  await expect(page.getByText(`${target.name} is switched off`)).toBeVisible()
  const text = await refused(page, target, 'target_disabled')
  expect(text).toContain('Ask an administrator to enable it')
  // What an administrator needs to find it in the log, ready to be passed on.
  const requestId = /Request id\s+(\S+)/.exec(text)?.[1] ?? ''
  await page.getByRole('button', { name: 'Copy request id' }).click()
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(requestId)
  expect(world.hub.log).toContain(requestId)
  expect(requestId.length).toBeGreaterThan(10)
})

test('a port on which nothing listens', async ({ browserFor, world, picture }) => {
  const { person, target } = await world.personWithTarget({ port: await closedPort() })
  const page = await browserFor(person.api)
  const text = await refused(page, target, 'target_refused')
  expect(text).toContain('refused the connection on port')
  await picture(page, 'terminal-refused')
})

test('a machine that answers nothing', async ({ browserFor, world }) => {
  // Accepts, and never says a word.
  const silent = net.createServer((socket) => socket.on('error', () => socket.destroy()))
  const port = await listenOnFreePort(silent)
  const { person, target } = await world.personWithTarget({ port })
  const page = await browserFor(person.api)
  await refused(page, target, 'ssh_handshake_failed')
  silent.close()
})

test('a name that does not exist', async ({ browserFor, world }) => {
  const { person, target } = await world.personWithTarget({ host: 'no-such-machine.invalid', port: 22 })
  const page = await browserFor(person.api)
  const text = await refused(page, target, 'target_name_not_found')
  expect(text).toContain('no-such-machine.invalid')
})

test('a host key that nobody has trusted, and one that changed: both fingerprints are shown', async ({ browserFor, world, picture }) => {
  const { person, target } = await world.personWithTarget({ trust: false })
  const page = await browserFor(person.api)
  await refused(page, target, 'host_key_unknown')
  await world.trustHostKeys(target.id)
  // The same name and the same trusted keys, but another machine behind it.
  await world.admin.patch(`/admin/targets/${target.id}`, { port: stack.servers.ssh[1].port })
  const text = await refused(page, target, 'host_key_mismatch')
  expect(text).toContain('host key')
  expect(new Set(text.match(/SHA256:[\w+/]{43}/g)).size, text).toBeGreaterThanOrEqual(2)
  await picture(page, 'terminal-host-key-changed')
})

test('a credential with the wrong password, which stays secret', async ({ browserFor, world, watch }) => {
  const wrong = unique('wrong-password')
  watch.secret(wrong)
  const { person, target } = await world.personWithTarget({ credentialIds: [await world.passwordCredential(wrong)] })
  const page = await browserFor(person.api)
  const text = await refused(page, target, 'ssh_auth_failed')
  expect(text).not.toContain(wrong)
  expect(await page.content()).not.toContain(wrong)
})

test('a reason that is missing is asked for', async ({ browserFor, world, picture }) => {
  const { person, target } = await world.personWithTarget({ reason_required: true })
  const page = await browserFor(person.api)
  await page.goto(`/terminal?target=${target.id}&credential=${target.credentialId}`)
  const field = page.getByLabel('Reason')
  await expect(field).toBeFocused()
  await picture(page, 'terminal-reason')
  await field.fill('Incident 12')
  await page.keyboard.press('Enter')
  const terminal = new Terminal(page)
  await terminal.ready()
  // The tenant can ask for a reason everywhere.
  const other = await world.personWithTarget()
  await world.admin.patch('/admin/settings', { require_reason: true })
  try {
    const elsewhere = await browserFor(other.person.api)
    await elsewhere.goto(`/terminal?target=${other.target.id}&credential=${other.target.credentialId}`)
    await expect(elsewhere.getByLabel('Reason')).toBeVisible()
  } finally {
    await world.admin.patch('/admin/settings', { require_reason: false })
  }
})

test('a vault that is down, then sealed, then back', async ({ browserFor, world, picture }) => {
  test.slow()
  const { person, target } = await world.personWithTarget()
  const page = await browserFor(person.api)
  const sealed = await SealedVault.start()
  const { hostname, port } = new URL(stack.servers.openbao.address)
  try {
    world.hub.vault.set('refuse')
    await refused(page, target, 'vault_unavailable')
    world.hub.vault.set('none')
    world.hub.vault.redirect('127.0.0.1', sealed.port)
    await expect(async () => {
      const text = await refused(page, target, 'vault_sealed')
      expect(text).toContain('An administrator must unseal it')
    }).toPass({ timeout: 60_000 })
    await picture(page, 'terminal-vault-sealed')
  } finally {
    world.hub.vault.set('none')
    world.hub.vault.redirect(hostname, Number(port))
    await sealed.stop()
  }
  // The same page goes on once the vault is back.
  const terminal = new Terminal(page)
  await expect(async () => {
    await page.getByRole('button', { name: 'Try again' }).click()
    await expect(terminal.status).toContainText(/Connected|Ended/)
    await expect(terminal.status).toContainText('Connected', { timeout: 100 })
  }).toPass({ timeout: 60_000 })
  await terminal.ready()
})
