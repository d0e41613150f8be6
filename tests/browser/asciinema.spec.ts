/** What is exported is read by the official asciinema-player, and looks the same there. */
import { readFileSync } from 'node:fs'
import { expect, test } from './support/fixtures.ts'
import { screenText } from './support/player.ts'
import { Terminal } from './support/terminal.ts'
import { eventually } from './support/wait.ts'

/** The player as asciinema publishes it: the whole of it, with its own parser, driver and clock. */
const published = (name: string) => readFileSync(new URL(`../../ui/node_modules/asciinema-player/dist/bundle/${name}`, import.meta.url), 'utf8')

interface Official {
  create(
    source: { data: string },
    parent: HTMLElement,
    options: Record<string, unknown>,
  ): { seek(to: number): Promise<unknown>; getDuration(): number | null | Promise<number> }
}
declare global {
  interface Window {
    AsciinemaPlayer?: Official
    official?: ReturnType<Official['create']>
  }
}

test('the official player shows an export as the console shows the recording', async ({ browserFor, world, picture }) => {
  const { person, target } = await world.personWithTarget()
  const terminal = await Terminal.open(await browserFor(person.api), target)
  await terminal.run("PS1='$ '; clear; printf 'on%s \\xe2\\x82\\xac \\xe6\\x97\\xa5\\xe6\\x9c\\xac\\n' e", /^one € 日本$/m)
  await terminal.run('seq 1 200; echo tw""o', /^two$/m)
  await terminal.run("sleep 2; printf '\\e[2J\\e[3;10H\\e[1;31mthr%s\\e[0m\\n' ee", /three/)
  const id = await terminal.sessionId(() => person.api.get('/sessions?status=active'))
  await terminal.run('exit')
  await expect(terminal.ending).toContainText('The session ended')
  await eventually('its recording is closed', async () => (await world.admin.get<{ state: string }>(`/sessions/${id}/recording`)).state === 'complete')
  const { duration_seconds: duration } = await world.admin.get<{ duration_seconds: number }>(`/sessions/${id}/recording`)

  const auditor = await world.person([], ['auditor'])
  const console = await browserFor(auditor.api)
  const download = await console.request.get(`/api/v1/sessions/${id}/recording/export?format=asciicast-v3`)
  expect(download.ok()).toBe(true)
  const cast = await download.text()

  const page = await browserFor(null)
  await page.setContent('<div id="player" style="width: 1200px"></div>')
  await page.addStyleTag({ content: published('asciinema-player.css') })
  await page.addScriptTag({ content: published('asciinema-player.min.js') })
  await page.evaluate((data) => {
    const parent = document.querySelector<HTMLElement>('#player')
    if (!parent || !window.AsciinemaPlayer) throw new Error('the player is not there')
    window.official = window.AsciinemaPlayer.create({ data }, parent, { preload: true })
  }, cast)
  await eventually('the official player has read it', async () => (await page.evaluate(() => window.official?.getDuration())) != null)

  // The end, the middle of the pause, and the beginning.
  for (const [moment, expected] of [
    [duration, /three/],
    [duration - 1.5, /^two$/m],
    [0, /^$/],
  ] as const) {
    await page.evaluate((to) => window.official?.seek(to), moment)
    await console.goto(`/sessions/${id}?t=${moment}`)
    await expect(console.getByRole('region', { name: 'Recording player' })).toHaveAttribute('data-waiting', 'false')
    await expect.poll(() => screenText(console), `${moment} s in the console`).toMatch(expected)
    await expect.poll(() => screenText(page), `${moment} s in the official player`).toBe(await screenText(console))
  }
  await page.evaluate((to) => window.official?.seek(to), duration)
  await expect.poll(() => screenText(page)).toMatch(/three/)
  await picture(page, 'export-in-the-official-player')
})
