/** What others are told: the events, who gets them, and what changes on a page while somebody looks. */
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { listenOnFreePort } from './support/proxy.ts'
import { expect, type Page, test, unique } from './support/fixtures.ts'
import { Terminal } from './support/terminal.ts'
import { eventually } from './support/wait.ts'

test.use({
  hubOptions: { events: { max_attempts: 2, retry_base_seconds: 1, retry_max_seconds: 1, webhook_timeout_seconds: 2 } },
})

/** An address that takes events and answers as it is told. */
async function receiver() {
  const got: { headers: IncomingHttpHeaders; event: { id: string; type: string } }[] = []
  const told = { status: 204 }
  const server = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      got.push({ headers: request.headers, event: JSON.parse(Buffer.concat(pieces).toString()) as { id: string; type: string } })
      response.writeHead(told.status).end()
    })
  })
  const port = await listenOnFreePort(server)
  return { url: `http://127.0.0.1:${port}/hook`, got, told, close: () => server.close() }
}

async function filter(page: Page, label: string, choice: string | RegExp) {
  await page.getByRole('button', { name: label, exact: true }).click()
  await page.getByRole('menuitemcheckbox', { name: choice }).click()
  await page.keyboard.press('Escape')
  await expect(page.getByRole('menu')).toHaveCount(0)
}

test('a webhook is made, tried, used, replayed after it was down, and deleted', async ({ browserFor, world, watch, picture }) => {
  const address = await receiver()
  const administrator = await world.person([], ['admin'])
  const page = await browserFor(administrator.api)
  const name = unique('hook')
  await page.goto('/events?view=webhooks')
  await page.getByRole('button', { name: 'New webhook' }).first().click()
  const form = page.getByRole('dialog', { name: 'New webhook' })
  await form.getByRole('button', { name: 'Create webhook' }).click()
  await expect(form).toContainText('Choose at least one.')
  await form.getByLabel('Name').fill(name)
  await form.getByLabel('Address').fill('http://169.254.169.254/latest')
  await form.getByLabel('Events').click()
  await page.getByRole('option', { name: 'Everything' }).click()
  await page.keyboard.press('Escape')
  await picture(page, 'webhook-form')
  watch.expect('status of 422')
  await form.getByRole('button', { name: 'Create webhook' }).click()
  await expect(form).toContainText('link-local')
  await form.getByLabel('Address').fill(address.url)
  await form.getByRole('button', { name: 'Create webhook' }).click()
  const once = page.getByRole('dialog', { name: 'Copy the secret now' })
  const secret = await once.getByTestId('secret').innerText()
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
  watch.secret(secret)
  await picture(page, 'webhook-secret')
  await once.getByRole('button', { name: 'I have stored it' }).click()
  const row = page.getByRole('row').filter({ hasText: name })
  await expect(row).toContainText(address.url)

  const act = async (item: string) => {
    await page.getByRole('button', { name: `Actions for ${name}` }).click()
    await page.getByRole('menuitem', { name: item }).click()
  }
  await act('Send a test')
  await expect(page.getByText(`${name} answered 204`)).toBeVisible()
  expect(address.got.at(-1)?.event.type).toBe('openpam.test')
  expect(address.got.at(-1)?.headers['webhook-signature']).toMatch(/^v1,/)

  // An address that is down: two attempts, then the event waits for a person.
  address.told.status = 503
  const { event_id } = await world.admin.post<{ event_id: string }>('/events', {
    event_type: 'build.failed',
    source: 'ci',
    subject: 'builds/7',
    payload: { number: 7 },
  })
  await eventually('it is a dead letter', async () => {
    const { delivery_state } = await world.admin.get<{ delivery_state: string }>(`/events/${event_id}`)
    return delivery_state === 'failed'
  })
  await page.getByRole('tab', { name: 'Events' }).click()
  await filter(page, 'Delivery', 'Failed')
  await expect(page.getByRole('row').filter({ hasText: 'build.failed' })).toHaveCount(1)
  await expect(page.getByRole('row').filter({ hasText: 'openpam.' })).toHaveCount(0)
  await page.getByRole('button', { name: 'build.failed', exact: true }).click()
  const panel = page.getByRole('dialog', { name: 'build.failed' })
  await expect(panel).toContainText('it answered 503 Service Unavailable')
  await expect(panel).toContainText('"number": 7')
  await expect(panel).toContainText('2 attempts')
  await picture(page, 'event-failed')
  address.told.status = 204
  await panel.getByRole('button', { name: 'Retry failed' }).click()
  await expect(panel.getByText('Delivered').first()).toBeVisible()
  expect(address.got.filter(({ event }) => event.id === event_id)).toHaveLength(3)
  await picture(page, 'event-delivered')
  await page.keyboard.press('Escape')

  await page.goto('/events?view=webhooks')
  await act('Delete…')
  const question = page.getByRole('dialog', { name: `Delete the webhook ${name}?` })
  await question.getByRole('textbox').fill(name)
  await question.getByRole('button', { name: 'Delete webhook' }).click()
  await expect(page.getByText('No webhooks yet')).toBeVisible()
  await picture(page, 'webhooks-none')
  address.close()
})

test('the events are filtered by type and source, and an auditor reads but changes nothing', async ({ browserFor, world, picture }) => {
  await world.admin.post('/events', { event_type: 'backup.done', source: 'backup', payload: { bytes: 12 } })
  const auditor = await world.person([], ['auditor'])
  const page = await browserFor(auditor.api)
  await page.goto('/events')
  const rows = page.getByRole('row')
  await expect(rows.filter({ hasText: 'openpam.user.created' }).first()).toContainText('No subscriber')
  await picture(page, 'events')
  await filter(page, 'Source', 'backup')
  await expect(rows.filter({ hasText: 'backup.done' })).toHaveCount(1)
  await expect(rows.filter({ hasText: 'openpam.' })).toHaveCount(0)
  await expect(page).toHaveURL(/source=backup/)
  await page.getByRole('button', { name: 'Remove filter Source' }).click()
  await filter(page, 'Type', 'openpam.user.created')
  await expect(rows.filter({ hasText: 'backup.done' })).toHaveCount(0)
  await page.getByRole('button', { name: 'openpam.user.created', exact: true }).first().click()
  const panel = page.getByRole('dialog', { name: 'openpam.user.created' })
  await expect(panel).toContainText('Nobody asked for events of this type.')
  await expect(panel.getByRole('button', { name: /again/ })).toHaveCount(0)
  await expect(page.getByText('Webhooks', { exact: true })).toHaveCount(0)
})

test('a session that begins and ends shows on the sessions page without a reload', async ({ browserFor, world, picture }) => {
  const { person, target } = await world.personWithTarget()
  const administrator = await world.person([], ['admin'])
  const page = await browserFor(administrator.api)
  const listening = page.waitForResponse((response) => response.url().endsWith('/api/v1/events/stream'))
  await page.goto('/sessions')
  await expect(page.getByRole('heading', { level: 1, name: 'Sessions' })).toBeVisible()
  expect((await listening).headers()['content-type']).toContain('text/event-stream')
  const row = page.getByRole('row').filter({ hasText: target.name })
  await expect(row).toHaveCount(0)
  await page.evaluate(() => Object.assign(window, { untouched: true }))
  // The list is read again each 10 s by itself: what comes sooner was told.
  const user = await browserFor(person.api)
  await Terminal.open(user, target)
  await expect(row).toContainText('Active', { timeout: 5_000 })
  await picture(page, 'sessions-live')
  await user.close()
  await world.admin.post(`/sessions/${(await active(world.admin, target.id)) ?? ''}/terminate`, { reason: 'seen enough' })
  await expect(row).not.toContainText('Active', { timeout: 5_000 })
  expect(await page.evaluate(() => 'untouched' in window)).toBe(true)
})

interface Reader {
  get<T>(path: string): Promise<T>
}

async function active(api: Reader, target: string): Promise<string | undefined> {
  const { items } = await api.get<{ items: { id: string }[] }>(`/sessions?target_id=${target}&status=active`)
  return items[0]?.id
}
