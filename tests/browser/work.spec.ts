/** Working in a terminal: what is typed, pasted, copied, found, and how it looks. */
import { createHash, randomBytes } from 'node:crypto'
import { expect, type Page, test } from './support/fixtures.ts'
import { Terminal } from './support/terminal.ts'
import { eventually } from './support/wait.ts'

const clipboard = (page: Page) => page.evaluate(() => navigator.clipboard.readText())
const putOnClipboard = (page: Page, text: string) => page.evaluate((value) => navigator.clipboard.writeText(value), text)

test('commands run, and their output is on the screen', async ({ browserFor, world, picture }) => {
  const { person, target } = await world.personWithTarget({ environment: 'production' })
  const page = await browserFor(person.api)
  const terminal = await Terminal.open(page, target)
  await terminal.run('whoami', new RegExp(`^${world.passwordServer.username}$`, 'm'))
  await terminal.run(String.raw`printf 'gr\xc3\xbc\xc3\x9fe \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x9a\x80\n'`, 'grüße 你好 🚀')
  await terminal.run('ls -l --color=always / | head -12; echo do""ne', /^done$/m)
  // The frame of a production machine, its label, and the facts at the foot.
  await expect(page.getByRole('region', { name: `Terminal ${target.name}` })).toContainText('production', { ignoreCase: true })
  await expect(terminal.status).toContainText('UTF-8')
  await expect(terminal.status).toContainText(/\d+ ms/)
  await expect(terminal.status).toContainText(/\d+×\d+/)
  await picture(page, 'terminal-production')
  await terminal.run('exit 3')
  await expect(terminal.ending).toContainText('The shell exited with status 3')
  await picture(page, 'terminal-exit')
  // A reload opens no session by itself.
  await page.reload()
  await expect(terminal.ending).toContainText('Not connected')
  expect((await person.api.get<{ items: unknown[] }>('/sessions?status=active')).items).toEqual([])
  await page.getByRole('button', { name: 'Connect again' }).click()
  await terminal.ready()
  await terminal.run('echo aga""in', /^again$/m)
})

test('the size of the window is the size of the terminal', async ({ browserFor, world }) => {
  const { person, target } = await world.personWithTarget()
  const page = await browserFor(person.api)
  const terminal = await Terminal.open(page, target)
  for (const viewport of [{ width: 1440, height: 900 }, { width: 900, height: 600 }, { width: 390, height: 844 }]) {
    await page.setViewportSize(viewport)
    await terminal.run('clear')
    await eventually(`stty knows the size at ${viewport.width}×${viewport.height}`, async () => {
      await terminal.run('stty size', /^\d+ \d+$/m)
      const [, cols, rows] = /(\d+)×(\d+)/.exec(await terminal.status.innerText()) ?? []
      const said = [...(await terminal.text()).matchAll(/^(\d+) (\d+)$/gm)].at(-1)
      const fits = Number(cols) < viewport.width / 7 && Number(cols) > viewport.width / 12
      return fits && said?.[1] === rows && said?.[2] === cols
    })
  }
})

test('a megabyte is pasted whole, after a question', async ({ browserFor, world, picture }) => {
  const { person, target } = await world.personWithTarget()
  const page = await browserFor(person.api)
  const terminal = await Terminal.open(page, target)
  const lines: string[] = []
  let length = 0
  while (length < 1_048_576) {
    const line = randomBytes(45).toString('base64')
    lines.push(line)
    length += line.length + 1
  }
  const text = `${lines.join('\n')}\n`
  const file = `/tmp/openpam-paste-${Date.now()}`
  // Raw input, as an editor reads it: the line discipline keeps 4 KiB of a line that nobody reads.
  await terminal.run(`stty -echo; head -c ${text.length} > ${file}; stty echo; sha256sum < ${file}; wc -c < ${file}; rm ${file}`)
  await putOnClipboard(page, text)
  await page.keyboard.press('Control+Shift+v')
  const dialog = page.getByRole('dialog')
  await expect(dialog).toContainText(`Paste ${lines.length.toLocaleString('en')} lines?`)
  await expect(dialog).toContainText('1.0 MiB')
  await picture(page, 'terminal-paste-question')
  await dialog.getByRole('button', { name: 'Paste' }).click()
  await terminal.sees(createHash('sha256').update(text).digest('hex'), 40_000)
  await terminal.sees(new RegExp(`^${text.length}$`, 'm'))
})

test('a megabyte in one line comes back as an echo while the page goes on painting', async ({ browserFor, world }) => {
  const { person, target } = await world.personWithTarget()
  const page = await browserFor(person.api)
  const terminal = await Terminal.open(page, target)
  // There is no graphics card here: what draws by an emulated one stops the page for every frame.
  await expect(page.locator('[data-pane] .xterm-rows > div').first()).toBeAttached()
  await terminal.run('cat > /dev/null')
  await putOnClipboard(page, '0123456789abcdef'.repeat(65_536))
  await page.keyboard.press('Control+Shift+v')
  await page.getByRole('dialog').getByRole('button', { name: 'Paste' }).click()
  const worst = await page.evaluate(async () => {
    const footer = document.querySelector('footer')
    const received = () => Number(footer?.dataset.received)
    let last = performance.now()
    let longest = 0
    let changed = last
    let before = 0
    // Until nothing more comes for two seconds after most of it was there.
    while (!(received() > 500_000 && last - changed > 2000)) {
      const now = await new Promise<number>((resolve) => requestAnimationFrame(resolve))
      longest = Math.max(longest, now - last)
      last = now
      if (received() !== before) changed = now
      before = received()
      if (now > 60_000) break
    }
    return longest
  })
  expect(worst, 'milliseconds between two frames').toBeLessThan(1500)
  await page.keyboard.press('Control+c')
  await terminal.sees(/[$#]$/)
  await terminal.run('clear; echo do""ne', /^done$/m)
})

test('a paste of several lines is asked about and can be refused', async ({ browserFor, world }) => {
  const { person, target } = await world.personWithTarget()
  const page = await browserFor(person.api)
  const terminal = await Terminal.open(page, target)
  await putOnClipboard(page, 'echo on""e\necho tw""o\n')
  await page.keyboard.press('Control+Shift+v')
  await expect(page.getByRole('dialog')).toContainText('Paste 2 lines?')
  await expect(page.getByRole('button', { name: 'Cancel' })).toBeFocused()
  // An Enter that was meant for the shell pastes nothing unread.
  await page.keyboard.press('Enter')
  await expect(page.getByRole('dialog')).toHaveCount(0)
  await terminal.run('echo thr""ee', /^three$/m)
  expect(await terminal.text()).not.toMatch(/^(one|two)$/m)
  // One line goes in at once, and hidden control characters never do.
  await putOnClipboard(page, 'echo fo""ur')
  await page.keyboard.press('Control+Shift+v')
  await page.keyboard.press('Enter')
  await terminal.sees(/^four$/m)
  await putOnClipboard(page, 'echo fi\u001b[201~\u0003ve')
  await page.keyboard.press('Control+Shift+v')
  await expect(page.getByRole('dialog')).toContainText('2 hidden control characters were taken out')
  await page.getByRole('dialog').getByRole('button', { name: 'Paste' }).click()
  await expect(page.getByRole('dialog')).toHaveCount(0)
  await page.keyboard.press('Enter')
  await terminal.sees(/^fi\[201~ve$/m)
})

test('find, copy on select, font size and colours', async ({ browserFor, world, picture }) => {
  const { person, target } = await world.personWithTarget()
  const page = await browserFor(person.api)
  const terminal = await Terminal.open(page, target)
  await terminal.run('for i in 1 2 3; do echo nee""dle-$i; done', /^needle-3$/m)
  await page.keyboard.press('Control+Shift+f')
  const find = page.getByRole('search')
  await find.getByRole('textbox').fill('needle-')
  await expect(find).toContainText('3 of 3')
  await page.keyboard.press('Enter')
  await expect(find).toContainText('2 of 3')
  await picture(page, 'terminal-find')
  await find.getByRole('textbox').fill('hay')
  await expect(find).toContainText('none')
  await page.keyboard.press('Escape')
  await expect(find).toHaveCount(0)
  await terminal.run('echo ba""ck', /^back$/m)

  const selectWord = (word: string) => terminal.doubleClick(word)
  await putOnClipboard(page, 'before')
  await selectWord('needle-1')
  expect(await clipboard(page), 'off until it is chosen').toBe('before')
  await page.keyboard.press('Control+Shift+c')
  await eventually('the selection was copied', async () => (await clipboard(page)) === 'needle-1')
  await page.keyboard.press('Control+Shift+,')
  const settings = page.getByRole('dialog', { name: 'Terminal settings' })
  await settings.getByRole('switch', { name: /Copy on select/ }).click()
  await settings.getByRole('button', { name: /Solarized Light/ }).click()
  await picture(page, 'terminal-settings')
  await page.keyboard.press('Escape')
  await expect(settings).toHaveCount(0)
  await selectWord('needle-2')
  await eventually('the selection was copied at once', async () => (await clipboard(page)) === 'needle-2')
  const background = () => page.locator('[data-pane] .xterm').evaluate((element) => getComputedStyle(element.closest('[style]') ?? element).backgroundColor)
  expect(await background()).toBe('rgb(253, 246, 227)')

  const columns = async () => Number(/(\d+)×/.exec(await terminal.status.innerText())?.[1])
  const before = await columns()
  await page.keyboard.press('Control+=')
  await page.keyboard.press('Control+=')
  await eventually('fewer columns fit', async () => (await columns()) < before)
  await page.keyboard.press('Control+0')
  await eventually('as many as before', async () => (await columns()) === before)
  // What was chosen is kept with the person: another browser shows it too.
  await eventually('the hub keeps it', async () => {
    const kept = await person.api.get<{ terminal?: { theme?: string; copyOnSelect?: boolean } }>('/me/preferences')
    return kept.terminal?.theme === 'solarized-light' && kept.terminal.copyOnSelect
  })
})

test('a flood of output can be stopped with Control-C', async ({ browserFor, world }) => {
  const { person, target } = await world.personWithTarget()
  const page = await browserFor(person.api)
  const terminal = await Terminal.open(page, target)
  await terminal.run('yes flood', /flood\nflood/)
  await eventually('a few megabytes came', async () => Number(await terminal.status.getAttribute('data-received')) > 2_000_000, 20_000)
  await page.keyboard.press('Control+c')
  await terminal.sees(/\^C[\s\S]*[$#]$/)
  await terminal.run('clear; echo st""opped', /^stopped$/m)
})
