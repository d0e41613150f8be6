/** How long a recording is kept: put on hold, released, deleted; and what the settings say about it. */
import { expect, test } from './support/fixtures.ts'
import { Terminal } from './support/terminal.ts'
import { eventually } from './support/wait.ts'

test('a recording is put on hold, released and deleted, each with its trace', async ({ browserFor, world, picture, watch }) => {
  // What a deleted recording is asked for once more says so.
  watch.expect('status of 409')
  const { person, target } = await world.personWithTarget()
  const terminal = await Terminal.open(await browserFor(person.api), target)
  const id = await terminal.sessionId(() => person.api.get('/sessions?status=active'))
  await terminal.run('exit')
  await expect(terminal.ending).toContainText('The session ended')
  await eventually('its recording is closed', async () => (await world.admin.get<{ state: string }>(`/sessions/${id}/recording`)).state === 'complete')

  // An auditor holds and cannot delete.
  const auditor = await world.person([], ['auditor'])
  const held = await browserFor(auditor.api)
  await held.goto(`/sessions/${id}`)
  await expect(held.getByText('Kept until somebody deletes it.')).toBeVisible()
  await expect(held.getByRole('button', { name: 'Delete' })).toHaveCount(0)
  await held.getByRole('button', { name: 'Hold', exact: true }).click()
  await held.getByLabel('Reason').fill('Case 4711')
  await picture(held, 'recording-hold-asked')
  await held.getByRole('button', { name: 'Hold recording' }).click()
  await expect(held.getByRole('dialog')).toHaveCount(0)
  await expect(held.getByText('Case 4711')).toBeVisible()
  await picture(held, 'recording-held')

  // An administrator lifts it, and deletes the recording by the target's name.
  const admin = await browserFor(world.admin)
  await admin.goto(`/sessions/${id}`)
  await expect(admin.getByText('Case 4711')).toBeVisible()
  await expect(admin.getByRole('button', { name: 'Delete', exact: true })).toHaveCount(0)
  await admin.getByRole('button', { name: 'Lift hold' }).click()
  await admin.getByRole('dialog').getByRole('button', { name: 'Lift hold' }).click()
  await admin.getByRole('button', { name: 'Delete', exact: true }).click()
  const remove = admin.getByRole('button', { name: 'Delete recording' })
  await expect(remove).toBeDisabled()
  await admin.getByLabel('Reason').fill('Asked for by the person')
  await admin.getByRole('dialog').getByRole('textbox').last().fill(target.name)
  await picture(admin, 'recording-delete-asked')
  await remove.click()
  await expect(admin.getByText('This recording was deleted')).toBeVisible()
  await expect(admin.getByText('Asked for by the person')).toBeVisible()
  await picture(admin, 'recording-deleted')
  const trail = await world.admin.get<{ items: { action: string }[] }>(`/audit/entries?object_id=${id}&action=recording.`)
  const actions = trail.items.map(({ action }) => action)
  for (const action of ['recording.hold', 'recording.release', 'recording.purge', 'recording.purged']) expect(actions).toContain(action)
})

test('the settings say how long recordings are kept', async ({ browserFor, world, picture }) => {
  const page = await browserFor(world.admin)
  await page.goto('/settings')
  await expect(page.getByRole('switch', { name: 'Every session must be recorded' })).toBeDisabled()
  const days = page.getByLabel('Delete recordings after')
  await days.fill('0')
  await page.getByRole('button', { name: 'Save settings' }).click()
  const mistake = page.getByText('A number of days, or nothing.')
  await expect(mistake).toBeVisible()
  // What is wrong is to be read, and not to lie under the bar.
  const [foot, bar] = [await mistake.boundingBox(), await page.getByRole('button', { name: 'Save settings' }).boundingBox()]
  expect((foot?.y ?? 0) + (foot?.height ?? 0)).toBeLessThan(bar?.y ?? 0)
  await days.fill('365')
  await page.getByRole('button', { name: 'Save settings' }).click()
  // It deletes: so it asks, and says how many there are.
  const question = page.getByRole('dialog', { name: 'Delete recordings after 365 days?' })
  await expect(question).toContainText('None is that old now.')
  await picture(page, 'settings-retention-question')
  await question.getByRole('button', { name: 'Keep editing' }).click()
  await expect(days).toHaveValue('365')
  expect((await world.admin.get<{ recording: { retention_days: number | null } }>('/admin/settings')).recording.retention_days).toBeNull()
  await page.getByRole('button', { name: 'Save settings' }).click()
  await question.getByRole('button', { name: 'Save and delete' }).click()
  await expect(page.getByText('Settings saved')).toBeVisible()
  await picture(page, 'settings-recordings')
  const saved = await world.admin.get<{ recording: unknown }>('/admin/settings')
  expect(saved.recording).toEqual({ required: true, required_by_hub: true, retention_days: 365 })
  // What deletes less is saved at once.
  await days.fill('')
  await page.getByRole('button', { name: 'Save settings' }).click()
  await expect.poll(async () => (await world.admin.get<{ recording: { retention_days: number | null } }>('/admin/settings')).recording.retention_days).toBeNull()
})
