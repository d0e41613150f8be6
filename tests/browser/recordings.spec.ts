/** What a session leaves: who plays it, what they see, and what they take away. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findings } from './support/findings.ts'
import { expect, type Page, test } from './support/fixtures.ts'
import { drawn, player, screenText } from './support/player.ts'
import { Terminal } from './support/terminal.ts'
import { eventually } from './support/wait.ts'
import type { Person, Target, World } from './support/world.ts'

interface Recording {
  state: string
  segments: unknown[]
  duration_seconds: number
  path: string
}

/** A session that says something at its beginning, waits, and says something at its end. */
async function recordedSession(world: World, page: Page, person: Person, target: Target): Promise<string> {
  const terminal = await Terminal.open(page, target)
  await expect(terminal.status).toContainText('Recorded')
  await expect(terminal.status).not.toContainText('Not recorded')
  await terminal.run('echo fir""st-words', /^first-words$/m)
  await terminal.run('clear; echo mid""dle-words; sleep 4; echo la""st-words', /^last-words$/m)
  const id = await terminal.sessionId(() => person.api.get('/sessions?status=active'))
  await terminal.run('exit')
  await expect(terminal.ending).toContainText('The session ended')
  await eventually('its recording is closed', async () => (await world.admin.get<Recording>(`/sessions/${id}/recording`)).state === 'complete')
  return id
}

const position = async (page: Page) => {
  const [, minutes, seconds] = /(\d+):(\d+) \//.exec(await page.getByTestId('position').innerText()) ?? []
  return Number(minutes) * 60 + Number(seconds)
}

test('an auditor plays a session of somebody else, to a moment, and takes it away', async ({ browserFor, world, picture }) => {
  const { person, target } = await world.personWithTarget()
  const id = await recordedSession(world, await browserFor(person.api), person, target)
  const { duration_seconds: duration } = await world.admin.get<Recording>(`/sessions/${id}/recording`)
  const auditor = await world.person([], ['auditor'])
  const page = await browserFor(auditor.api)

  // From the list to what it is, without a word in the ledger yet.
  await page.goto('/sessions')
  await expect(page.getByRole('link', { name: `Play the recording of the session on ${target.name}` })).toContainText('Recorded')
  await picture(page, 'sessions-recorded')
  await page.goto(`/sessions/${id}`)
  await expect(page.getByText('checked structure, chain, Merkle root, signature, ledger, list of segments at')).toBeVisible()
  await expect(page.getByText('Intact', { exact: true })).toBeVisible()
  await picture(page, 'session-with-recording')
  const played = () => world.admin.get<{ items: unknown[] }>(`/audit/entries?object_id=${id}&action=recording.play`)
  expect((await played()).items).toEqual([])

  await page.getByRole('button', { name: 'Play recording' }).click()
  await drawn(page)
  // What is asked to play plays, without a second press.
  await expect(player(page)).not.toHaveAttribute('data-phase', 'paused')
  expect((await played()).items).toHaveLength(1)
  await page.keyboard.press('End')
  await expect.poll(() => screenText(page)).toContain('last-words')
  expect(await screenText(page)).not.toContain('first-words')
  await page.keyboard.press('Home')
  await expect.poll(() => screenText(page)).not.toContain('last-words')

  // A moment by its address: after the first words were cleared, before the last ones came.
  await page.goto(`/sessions/${id}?t=${Math.floor(duration - 2)}`)
  await drawn(page)
  await expect.poll(() => screenText(page)).toContain('middle-words')
  expect(await screenText(page)).not.toMatch(/^last-words/m)
  await page.getByRole('button', { name: 'Copy a link to this moment' }).click()
  await eventually('the link is on the clipboard', async () =>
    (await page.evaluate(() => navigator.clipboard.readText())).endsWith(`/sessions/${id}?t=${Math.floor(duration - 2)}`),
  )

  // Frame by frame, and back.
  await player(page).focus()
  await page.keyboard.press('.')
  await expect.poll(() => screenText(page)).toContain('last-words')
  await page.keyboard.press(',')
  await expect.poll(() => screenText(page)).not.toMatch(/^last-words/m)

  // Played fast, it ends; what was idle is left out.
  await page.keyboard.press('Home')
  await page.getByRole('combobox', { name: 'Speed' }).selectOption('8')
  await page.getByRole('button', { name: 'Play', exact: true }).click()
  await expect(player(page)).toHaveAttribute('data-phase', 'ended')
  expect(await position(page)).toBe(Math.floor(duration))
  await expect.poll(() => screenText(page)).toContain('last-words')
  await picture(page, 'player-ended')
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    await expect(page.locator(`html[data-theme=${colorScheme}]`)).toHaveCount(1)
    expect(await findings(page), colorScheme).toEqual([])
  }
  await page.getByRole('button', { name: "Copy the screen's text" }).click()
  await eventually('the text is on the clipboard', async () => /^last-words$/m.test(await page.evaluate(() => navigator.clipboard.readText())))

  // A click on the timeline.
  const track = player(page).getByRole('slider').locator('xpath=ancestor::span[@data-orientation][last()]')
  const box = await track.boundingBox()
  await page.mouse.click((box?.x ?? 0) + 1, (box?.y ?? 0) + (box?.height ?? 0) / 2)
  await expect.poll(() => position(page)).toBe(0)

  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download' }).click()])
  expect(download.suggestedFilename()).toMatch(/\.cast$/)
  const cast = readFileSync(await download.path(), 'utf8')
  expect(JSON.parse(cast.split('\n')[0] ?? '')).toMatchObject({ version: 3 })
  expect(cast).toContain('first-words')
  expect(cast).toContain('last-words')
  test.info().annotations.push({ type: 'download', description: download.suggestedFilename() })
})

test('who may not play sees no player, and no button that would be refused', async ({ browserFor, world }) => {
  const { person, target } = await world.personWithTarget()
  const page = await browserFor(person.api)
  const id = await recordedSession(world, page, person, target)
  await page.goto('/my-sessions')
  await expect(page.getByRole('cell', { name: 'Recorded', exact: true })).toBeVisible()
  await expect(page.getByRole('link', { name: /Play the recording/ })).toHaveCount(0)
  await page.goto(`/sessions/${id}?t=1`)
  await expect(page.getByText('Recorded', { exact: true })).toBeVisible()
  await expect(page.getByRole('heading', { name: 'Recording' })).toHaveCount(0)
  await expect(player(page)).toHaveCount(0)
  await expect(page.getByRole('link', { name: 'Download' })).toHaveCount(0)
  // With a role of their own for it, they play what is theirs.
  await world.admin.patch(`/admin/users/${person.id}`, { roles: ['operator'] })
  await page.goto(`/sessions/${id}?t=1`)
  await expect(player(page)).toBeVisible()
  await drawn(page)
})

test('a session that runs can be played up to what is stored', async ({ browserFor, world, picture }) => {
  const { person, target } = await world.personWithTarget()
  const terminal = await Terminal.open(await browserFor(person.api), target)
  const id = await terminal.sessionId(() => person.api.get('/sessions?status=active'))
  await terminal.run('echo so-fa""r', /^so-far$/m)
  const auditor = await world.person([], ['auditor'])
  const page = await browserFor(auditor.api)
  await page.goto(`/sessions/${id}`)
  await expect(page.getByText('Still being recorded')).toBeVisible()
  await expect(page.getByText('what is played or downloaded now is not complete')).toBeVisible()
  // The first segment is stored before the session begins; what was said comes with the second.
  const stored = async () => (await world.admin.get<Recording>(`/sessions/${id}/recording`)).segments.length >= 2
  await eventually('what was said is stored', stored, 40_000)
  await page.getByRole('button', { name: 'Play recording' }).click({ timeout: 40_000 })
  await drawn(page)
  await picture(page, 'player-running')
  await page.keyboard.press('End')
  await expect.poll(() => screenText(page)).toContain('$')
  await terminal.run('exit')
})

test('a recording that was tampered with is shown as such', async ({ browserFor, world, watch, picture }) => {
  const { person, target } = await world.personWithTarget()
  const id = await recordedSession(world, await browserFor(person.api), person, target)
  const { path } = await world.admin.get<Recording>(`/sessions/${id}/recording`)
  const folder = join(world.hub.recordings, path)
  const [segment] = readdirSync(folder).filter((name) => !/manifest/.test(name)).toSorted()
  const file = join(folder, segment ?? '')
  const bytes = readFileSync(file)
  const last = bytes.length - 20
  bytes[last] = (bytes[last] ?? 0) ^ 1
  writeFileSync(file, bytes)
  watch.expect('status of 409')
  const page = await browserFor(world.admin)
  await page.goto(`/sessions/${id}`)
  await expect(page.getByText('Not intact')).toBeVisible()
  await expect(page.getByRole('alert')).not.toBeEmpty()
  await page.getByRole('button', { name: 'Play recording' }).click()
  await expect(page.getByText('recording_damaged')).toBeVisible()
  await picture(page, 'recording-damaged')
})
