/** Finding what sessions showed: across recordings, and in the player. */
import { findings } from './support/findings.ts'
import { expect, type Page, test } from './support/fixtures.ts'
import { drawn, player, screenText } from './support/player.ts'
import { Terminal } from './support/terminal.ts'
import { eventually } from './support/wait.ts'
import type { Person, Target, World } from './support/world.ts'

interface Recording {
  state: string
  index: { done: boolean }
}

/** A session with a word at its beginning and another one some seconds later, indexed to its end. */
async function searchableSession(world: World, page: Page, person: Person, target: Target): Promise<string> {
  const terminal = await Terminal.open(page, target)
  await terminal.run('echo ear""ly-word', /^early-word$/m)
  await terminal.run('clear; sleep 5; echo l""ate-word', /^late-word$/m)
  const id = await terminal.sessionId(() => person.api.get('/sessions?status=active'))
  await terminal.run('exit')
  await expect(terminal.ending).toContainText('The session ended')
  await eventually('its text is indexed', async () => (await world.admin.get<Recording>(`/sessions/${id}/recording`)).index.done, 60_000)
  return id
}

/** What of the screen is marked as the hit that the player is at. */
const marked = (page: Page) =>
  page.evaluate(() => [...((CSS.highlights.get('recording-find-here') ?? []) as Iterable<Range>)].map((range) => range.toString()))
const searches = async (world: World, actor: string) =>
  (await world.admin.get<{ items: { detail: { query: string } }[] }>(`/audit/entries?action=recording.search&actor_id=${actor}`)).items.map(({ detail }) => detail.query)

test('an auditor finds what was shown, and the player shows the moment', async ({ browserFor, world, picture }) => {
  const { person, target } = await world.personWithTarget()
  const id = await searchableSession(world, await browserFor(person.api), person, target)
  const auditor = await world.person([], ['auditor'])
  const page = await browserFor(auditor.api)
  await page.goto('/sessions')
  await page.getByRole('link', { name: 'Search', exact: true }).click()
  await expect(page.getByText('Find a moment in a recording')).toBeVisible()
  await picture(page, 'search-beginning')

  // Nothing is searched for before it is asked for.
  const text = page.getByRole('searchbox', { name: 'Text to find' })
  await text.fill('L')
  await text.press('Enter')
  await expect(page.getByText('Type at least 2 characters.')).toBeVisible()
  expect(await searches(world, auditor.id)).toEqual([])
  await text.fill('LATE-word')
  await page.getByRole('textbox', { name: 'Target' }).fill(target.name)
  await text.press('Enter')
  await expect(page).toHaveURL(/q=LATE-word/)
  const list = page.getByRole('list', { name: 'Sessions that match' })
  const hit = list.getByRole('link', { name: /^Output at .*late-word/ })
  await expect(hit).toHaveCount(1)
  await expect(list.locator('mark')).toHaveText(['late-word'])
  await expect(list.getByRole('link', { name: target.name })).toBeVisible()
  await expect.poll(() => searches(world, auditor.id)).toEqual(['LATE-word'])
  await picture(page, 'search-found')
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    await expect(page.locator(`html[data-theme=${colorScheme}]`)).toHaveCount(1)
    expect(await findings(page), colorScheme).toEqual([])
  }
  await page.setViewportSize({ width: 390, height: 844 })
  await picture(page, 'search-found-narrow')
  await page.setViewportSize({ width: 1440, height: 900 })

  // From the hit to the moment, where it is on the screen and marked.
  await hit.click()
  await expect(page).toHaveURL(new RegExp(`/sessions/${id}\\?t=`))
  await drawn(page)
  await expect.poll(() => screenText(page)).toMatch(/^late-word/m)
  await expect.poll(() => marked(page)).toEqual(['late-word'])
  const box = player(page).getByRole('searchbox', { name: 'Find in this recording' })
  await expect(box).toHaveValue('LATE-word')
  await expect(player(page).getByRole('status').filter({ hasText: /^1 of 1$/ })).toBeVisible()
  await picture(page, 'player-with-hits')

  // What was run is listed, and leads to its moment.
  await player(page).getByText('commands, as the screen showed them').click()
  const command = player(page).getByRole('button', { name: /echo ear""ly-word/ })
  await expect(command).toBeVisible()
  await picture(page, 'player-commands')
  await command.click()
  await expect.poll(() => screenText(page)).not.toMatch(/^late-word/m)
  expect(await findings(page)).toEqual([])
  await box.fill('early-word')
  await box.press('Enter')
  await expect(page).toHaveURL(/find=early-word/)
  await expect(player(page).getByRole('status').filter({ hasText: /of \d/ })).toBeVisible()
  await expect.poll(() => searches(world, auditor.id)).toContain('early-word')
})

test('the hits of a recording are gone through, each on the screen and marked, around the end', async ({ browserFor, world, picture }) => {
  const { person, target } = await world.personWithTarget()
  const terminal = await Terminal.open(await browserFor(person.api), target)
  // Two at once that are cleared away, and one of two colours.
  await terminal.run('clear; echo need""le-one; echo need""le-two; sleep 2; clear; echo no-hay', /^no-hay$/m)
  await terminal.run("sleep 2; clear; printf 'need\\033[31mle-three\\033[0m\\n'; sleep 2; clear; echo do\"\"ne", /^done$/m)
  const id = await terminal.sessionId(() => person.api.get('/sessions?status=active'))
  await terminal.run('exit')
  await expect(terminal.ending).toContainText('The session ended')
  await eventually('its text is indexed', async () => (await world.admin.get<Recording>(`/sessions/${id}/recording`)).index.done, 60_000)
  const page = await browserFor((await world.person([], ['auditor'])).api)
  await page.goto(`/sessions/${id}?t=0`)
  await drawn(page)
  const box = player(page).getByRole('searchbox', { name: 'Find in this recording' })
  const count = player(page).getByRole('status').filter({ hasText: /of 3$/ })
  await box.fill('needle-')
  await box.press('Enter')
  const stops = ['needle-one', 'needle-two', 'needle-three']
  for (const [index, word] of [...stops, stops[0] ?? ''].entries()) {
    await expect(count).toHaveText(`${(index % stops.length) + 1} of 3`)
    await expect.poll(() => screenText(page), word).toMatch(new RegExp(`^${word}$`, 'm'))
    await expect.poll(() => marked(page), word).toEqual(['needle-'])
    if (index === 2) await picture(page, 'player-hit')
    if (index < stops.length) await box.press('Enter')
  }
  await box.press('Shift+Enter')
  await expect(count).toHaveText('3 of 3')
  // An empty field looks for nothing.
  await box.press('Escape')
  await expect(box).toHaveValue('')
  await expect(count).toHaveCount(0)
  await expect(page).not.toHaveURL(/find=/)
  expect(await marked(page)).toEqual([])
})

test('filters are in the address, commands are told apart, and nothing found is said', async ({ browserFor, world }) => {
  const { person, target } = await world.personWithTarget()
  await searchableSession(world, await browserFor(person.api), person, target)
  const page = await browserFor(world.admin)
  await page.goto(`/search?q=early-word&kind=command&target=${encodeURIComponent(target.name)}`)
  await expect(page.getByRole('link', { name: /^Output at/ })).toHaveCount(0)
  await expect(page.getByText('Nothing was found')).toBeVisible()
  await page.goto(`/search?q=${encodeURIComponent('ear""ly')}&kind=command&target=${encodeURIComponent(target.name)}`)
  await expect(page.getByRole('link', { name: /^Command at/ })).toHaveCount(1)
  await page.goto(`/search?q=early-word&to=2020-01-02`)
  await expect(page.getByText('Nothing was found')).toBeVisible()
  await expect(page.getByRole('button', { name: 'Dates: until 2020-01-02' })).toBeVisible()
})

test('who may play nothing finds no search, and who may play what is theirs finds only that', async ({ browserFor, world }) => {
  const { person, target } = await world.personWithTarget()
  const page = await browserFor(person.api)
  await searchableSession(world, page, person, target)
  await page.goto('/my-sessions')
  await expect(page.getByRole('link', { name: 'Search', exact: true })).toHaveCount(0)
  const operator = await world.person([], ['operator'])
  const other = await browserFor(operator.api)
  await other.goto('/search?q=early-word')
  await expect(other.getByText('what you ran in them')).toBeVisible()
  await expect(other.getByRole('textbox', { name: 'User' })).toHaveCount(0)
  await expect(other.getByText('Nothing was found')).toBeVisible()
})
