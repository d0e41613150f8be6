/** A session outlives its page, its socket and its window's arrangement. */
import { expect, type Page, test } from './support/fixtures.ts'
import { readScreen, Terminal } from './support/terminal.ts'
import { eventually } from './support/wait.ts'

/** Prints numbered lines without end, fast enough that something is always under way. */
const COUNT = 'i=0; while :; do i=$((i+1)); echo "n$i."; [ $((i%10)) = 0 ] && sleep 0.05; done'

/** The numbers on the screen, which must follow one another without a gap or a repetition. */
async function numbers(page: Page): Promise<number[]> {
  return [...(await readScreen(page)).matchAll(/^n(\d+)\.$/gm)].map((match) => Number(match[1]))
}
function expectUnbroken(found: number[]): void {
  const breaks = found.flatMap((number, index) => {
    const before = found[index - 1]
    return index > 0 && number !== (before ?? 0) + 1 ? [`${before} → ${number}`] : []
  })
  expect(breaks, 'no line is lost or repeated').toEqual([])
}

/** A page that is left while sessions run asks; a person who reloads says yes. */
const leaveFreely = (page: Page) => page.on('dialog', (dialog) => void dialog.accept())

test('a reload resumes without losing or repeating a byte', async ({ browserFor, world, picture }) => {
  const { person, target } = await world.personWithTarget()
  const page = await browserFor(person.api)
  leaveFreely(page)
  const terminal = await Terminal.open(page, target)
  await terminal.run(COUNT, /n\d{3,}\.$/m)
  const sessions = () => person.api.get<{ items: { id: string }[] }>('/sessions?status=active')
  const session = await terminal.sessionId(sessions)
  const shown = (await numbers(page)).at(-1) ?? 0
  await page.reload()
  await expect(terminal.status).toContainText('Connected')
  const [first] = await eventually('lines are there again', async () => {
    const found = await numbers(page)
    return (found.at(-1) ?? 0) > shown && found
  })
  expect(first, 'what was on the screen before is there again').toBeLessThan(shown)
  const before = (await numbers(page)).at(-1) ?? 0
  await eventually('it goes on', async () => ((await numbers(page)).at(-1) ?? 0) > before + 100)
  await page.keyboard.press('Control+c')
  await terminal.sees(/\^C[\s\S]*[$#]$/)
  expectUnbroken(await numbers(page))
  expect(await terminal.sessionId(sessions), 'it is the same session').toBe(session)
  await picture(page, 'terminal-resumed')
  await terminal.run('clear; echo sti""ll', /^still$/m)
})

test('tabs, splits and their sessions survive a reload', async ({ browserFor, world, picture }) => {
  test.slow()
  const group = await world.group()
  const [one, two] = await Promise.all([
    world.target(group, { environment: 'production' }),
    world.target(group, { environment: 'staging' }),
  ])
  const person = await world.person([group])
  const page = await browserFor(person.api)
  leaveFreely(page)
  const terminal = await Terminal.open(page, one)
  await terminal.run('PS1="left> "; clear; cd /usr', /left>$/)
  await page.keyboard.press('Control+Shift+e')
  await expect(page.locator('[data-pane]')).toHaveCount(2)
  await terminal.ready()
  await terminal.run('PS1="right> "; clear; cd /etc', /right>$/)
  await page.keyboard.press('Control+Shift+s')
  await expect(page.locator('[data-pane]')).toHaveCount(3)
  await terminal.ready()
  await terminal.run('PS1="below> "; clear', /below>$/)
  await page.keyboard.press('Control+Shift+Enter')
  await page.getByRole('combobox').fill(two.name)
  await expect(page.getByRole('option')).toHaveCount(1)
  await page.keyboard.press('Enter')
  await expect(page.getByRole('tab')).toHaveCount(2)
  await terminal.ready()
  await page.getByRole('tab').nth(1).dblclick()
  await page.getByRole('textbox', { name: 'Name of the tab' }).fill('The second')
  await page.keyboard.press('Enter')
  await page.keyboard.press('Control+Shift+1')
  await expect(page.locator('[data-pane]')).toHaveCount(3)
  await page.keyboard.press('Alt+Shift+ArrowLeft')
  await terminal.sees(/left>$/)
  await picture(page, 'terminal-splits')

  await page.reload()
  await expect(page.getByRole('tab')).toHaveCount(2)
  await expect(page.getByRole('tab', { name: 'The second' })).toBeVisible()
  await expect(page.locator('[data-pane]')).toHaveCount(3)
  await terminal.sees(/left>$/)
  await terminal.run('pwd', /^\/usr$/m)
  await page.keyboard.press('Alt+Shift+ArrowRight')
  await terminal.sees(/right>$/)
  await terminal.run('pwd', /^\/etc$/m)
  await page.keyboard.press('Alt+Shift+ArrowDown')
  await terminal.sees(/below>$/)
  await page.getByRole('tab', { name: 'The second' }).click()
  await terminal.ready()
  const { items } = await person.api.get<{ items: unknown[] }>('/sessions?status=active')
  expect(items, 'no session was opened anew').toHaveLength(4)
  // Another target, opened by its address, comes beside what is there.
  await page.goto(`/terminal?target=${two.id}`)
  await expect(page.getByRole('tab')).toHaveCount(3)
  await terminal.ready()
  // Closing asks, ends the session on the hub, and takes the tab with the last pane.
  await page.keyboard.press('Control+Shift+x')
  await page.getByRole('dialog', { name: 'End this session?' }).getByRole('button', { name: 'End' }).click()
  await expect(page.getByRole('tab')).toHaveCount(2)
  await eventually('the hub ended it', async () => (await person.api.get<{ items: unknown[] }>('/sessions?status=active')).items.length === 4)
})

test('a cut connection is announced, counts down and resumes by itself', async ({ browserFor, world, watch, picture }) => {
  test.slow()
  watch.expect('ERR_CONNECTION', 'ERR_EMPTY_RESPONSE', 'ERR_SOCKET', 'WebSocket')
  const { person, target } = await world.personWithTarget({ environment: 'production' })
  const page = await browserFor(person.api)
  leaveFreely(page)
  const terminal = await Terminal.open(page, target)
  await terminal.run(COUNT, /n\d{3,}\.$/m)
  world.hub.front.set('refuse')
  const banner = page.getByRole('status').filter({ hasText: 'Connection lost' })
  await expect(banner).toBeVisible()
  await expect(terminal.status).toContainText('Reconnecting')
  await expect(banner).toContainText(/trying again in \d+ s/, { timeout: 20_000 })
  await expect(banner).toContainText(/attempt \d/)
  await picture(page, 'terminal-reconnect')
  // Nothing answers yet, so the banner cannot go before it is clicked: the next attempt begins at once.
  const attempt = async () => Number(/attempt (\d+)/.exec((await banner.textContent({ timeout: 1000 }).catch(() => '')) ?? '')?.[1] ?? 0)
  const tried = await eventually('the attempt has a number', attempt)
  await page.getByRole('button', { name: 'Reconnect now' }).click()
  await eventually('another attempt was made', async () => (await attempt()) > tried)
  world.hub.front.set('none')
  // The longest pause between two attempts is 15 s.
  await expect(banner).toHaveCount(0, { timeout: 40_000 })
  await expect(terminal.status).toContainText('Connected')
  const before = (await numbers(page)).at(-1) ?? 0
  await eventually('it goes on', async () => ((await numbers(page)).at(-1) ?? 0) > before + 100)
  await page.locator('.xterm-helper-textarea').focus()
  await page.keyboard.press('Control+c')
  await terminal.sees(/\^C[\s\S]*[$#]$/)
  expectUnbroken(await numbers(page))
  // Once more without a hand on it, and what is typed meanwhile is not lost.
  world.hub.front.set('refuse')
  await expect(banner).toBeVisible()
  await expect(terminal.status).toContainText('Reconnecting')
  await terminal.run('clear; echo meanwh""ile')
  world.hub.front.set('none')
  await terminal.sees(/^meanwhile$/m, 40_000)
  await expect(banner).toHaveCount(0)
})

test('what is typed over a link that died silently is said to have no answer, and arrives once', async ({ browserFor, world, watch, picture }) => {
  test.slow()
  watch.expect('ERR_', 'WebSocket', 'Failed to load resource')
  const { person, target } = await world.personWithTarget()
  const page = await browserFor(person.api)
  leaveFreely(page)
  const terminal = await Terminal.open(page, target)
  await terminal.run('i=0; clear; echo rea""dy', /^ready$/m)
  world.hub.front.set('silence')
  await terminal.run('i=$((i+1)); echo "typ""ed-$i"')
  const banner = page.getByRole('status').filter({ hasText: 'No answer from the hub for' })
  await expect(banner).toBeVisible({ timeout: 20_000 })
  await expect(terminal.status).toContainText(/No answer from the hub for \d+ s/)
  await expect(terminal.status).not.toContainText('Connected')
  await picture(page, 'terminal-no-answer')
  // The old socket goes at last; nothing that was lost comes through it.
  world.hub.front.cut()
  world.hub.front.set('none')
  await terminal.sees(/^typed-1$/m, 40_000)
  await expect(banner).toHaveCount(0)
  await expect(terminal.status).toContainText('Connected')
  await terminal.run('echo "and on""ce: $i"', /^and once: 1$/m)
})

test('one session in two windows: the newer one has it, the older one can take it back', async ({ browserFor, world }) => {
  const { person, target } = await world.personWithTarget()
  const page = await browserFor(person.api)
  leaveFreely(page)
  const terminal = await Terminal.open(page, target)
  await terminal.run('echo he""re', /^here$/m)
  const other = await page.context().newPage()
  leaveFreely(other)
  const stored = await page.evaluate(() => Object.entries(sessionStorage))
  await other.addInitScript((entries) => {
    for (const [key, value] of entries) sessionStorage.setItem(key, value)
  }, stored)
  await other.goto('/terminal')
  await expect(other.getByRole('alert')).toContainText('Open in another window')
  await other.getByRole('button', { name: 'Continue here' }).click()
  await new Terminal(other).sees(/^here$/m)
  await expect(page.getByRole('alert')).toContainText('another window')
  await page.getByRole('button', { name: 'Continue here' }).click()
  await expect(page.getByRole('alert')).toHaveCount(0)
  await terminal.ready()
  await terminal.sees(/^here$/m)
  expect((await terminal.text()).match(/^here$/gm), 'nothing stands there twice').toHaveLength(1)
  await terminal.run('echo and the""re', /^and there$/m)
})

test('a session left open elsewhere is offered', async ({ browserFor, world }) => {
  const { person, target } = await world.personWithTarget()
  const page = await browserFor(person.api)
  const terminal = await Terminal.open(page, target)
  await terminal.run('FOO=ba""r')
  await page.context().close()
  const fresh = await browserFor(person.api)
  leaveFreely(fresh)
  await eventually('the hub saw the browser go', async () => {
    const { items } = await person.api.get<{ items: { attached: boolean }[] }>('/sessions?status=active')
    return items.length === 1 && items[0]?.attached === false
  })
  await fresh.goto('/terminal')
  await expect(fresh.getByRole('status').filter({ hasText: 'A session is still open' })).toBeVisible()
  await fresh.getByRole('button', { name: `Resume ${target.name}` }).click()
  const resumed = new Terminal(fresh)
  await expect(resumed.status).toContainText('Connected')
  await resumed.sees(/[$#]$/)
  await resumed.run('echo it is $FOO', /^it is bar$/m)
})

test('an offer that is out of date goes by itself, and one that is taken too late says so', async ({ browserFor, world, watch, picture }) => {
  watch.expect('Failed to load resource')
  const { person, target } = await world.personWithTarget()
  const leave = async () => {
    const page = await browserFor(person.api)
    await Terminal.open(page, target)
    await page.context().close()
  }
  await leave()
  await leave()
  const open = () => person.api.get<{ items: { id: string; attached: boolean }[] }>('/sessions?status=active')
  const left = await eventually('the hub saw the browsers go', async () => {
    const { items } = await open()
    return items.length === 2 && items.every(({ attached }) => !attached) && items
  })
  const fresh = await browserFor(person.api)
  leaveFreely(fresh)
  await fresh.goto('/terminal')
  const bar = fresh.getByRole('status').filter({ hasText: 'still open' })
  await expect(bar).toContainText('2 sessions are still open')
  await picture(fresh, 'terminal-still-open')
  const end = (id = '') => world.admin.post(`/sessions/${id}/terminate`, { reason: 'Enough' })
  await end(left[0]?.id)
  await expect(bar).toContainText('A session is still open')
  // The bar must not learn of the second before it is clicked.
  await fresh.route('**/api/v1/sessions?*', (route) => route.abort())
  watch.expect('ERR_FAILED')
  await end(left[1]?.id)
  await eventually('the hub ended it', async () => (await open()).items.length === 0)
  await fresh.getByRole('button', { name: `Resume ${target.name}` }).click()
  await expect(fresh.getByRole('alert')).toContainText(/no longer there|was ended/)
  await expect(bar).toHaveCount(0)
})

test('a session that is just being opened is not said to be open elsewhere', async ({ browserFor, world }) => {
  const { person, target } = await world.personWithTarget()
  const page = await browserFor(person.api)
  leaveFreely(page)
  // An ended tab is kept; when it is found to be ended the workspace asks what else is open.
  const terminal = await Terminal.open(page, target)
  await terminal.run('exit')
  await expect(terminal.ending).toContainText('The session ended')
  for (let round = 0; round < 3; round += 1) {
    await page.goto('/')
    await page.goto(`/terminal?target=${target.id}&credential=${target.credentialId}`)
    const banner = page.getByText('still open', { exact: false })
    let seen = 0
    await eventually('its shell is there', async () => {
      seen += await banner.count()
      return /[$#]$/.test(await readScreen(page))
    })
    for (let look = 0; look < 10; look += 1) {
      seen += await banner.count()
      await page.waitForTimeout(100)
    }
    expect(seen, 'it is on the screen').toBe(0)
  }
})
