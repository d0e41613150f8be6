/**
 * Seeks in an hour-long recording as a person does, with clicks on the timeline and keys, and measures each
 * one from the click or key until the screen of that very second is painted. The recording's first row says which second it
 * is. `tests/bench/measure/seek.rs` makes the recording, starts this and judges the times.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, type Page, type Request, test } from '@playwright/test'
import { environment } from '../support/stack.ts'

interface Job {
  url: string
  cookie: { name: string; value: string }
  session: string
  seconds: number
  segment_seconds: number
  flood_every: number
  seeks: number
  result: string
}

interface Seek {
  /** Milliseconds from the click to the painted screen. */
  took: number
  /** What loading the segment took of it; null when it was there. */
  load: number | null
}
declare global {
  interface Window {
    measured?: Promise<Seek>
  }
}

const job = JSON.parse(readFileSync(process.env.OPENPAM_BENCH_SEEK ?? '', 'utf8')) as Job
const player = (page: Page) => page.getByRole('region', { name: 'Recording player' })

/**
 * Gets ready to measure the next click or key: the time of the event itself, then a look at each frame. A frame in
 * which the right second stands counts once it is painted: the message comes after that.
 */
const arm = (page: Page, kind: 'pointerdown' | 'keydown') =>
  page.evaluate((kind) => {
    window.measured = new Promise((resolve, reject) => {
      const frame = document.querySelector('[aria-label="Recording player"]')
      const thumb = frame?.querySelector('[role=slider]')
      const before = thumb?.getAttribute('aria-valuenow')
      performance.clearResourceTimings()
      const onAct = (event: Event) => {
        const look = () => {
          const at = thumb?.getAttribute('aria-valuenow')
          const shown = / second (\d+) /.exec(document.querySelector('.ap-term-text')?.textContent ?? '')?.[1]
          const waiting = frame?.getAttribute('data-waiting')
          if (performance.now() - event.timeStamp > 20_000) {
            reject(new Error(`20 s after a ${kind}, at ${at}, second ${shown} is shown, waiting: ${waiting}`))
          } else if (at && at !== before && waiting === 'false' && shown === String(Math.floor(Number(at)))) {
            const painted = new MessageChannel()
            painted.port1.onmessage = () => {
              const loads = performance.getEntriesByType('resource').filter(({ name }) => name.includes('/recording/segments/'))
              // The first one is the one that was waited for; what follows is loaded ahead.
              resolve({ took: performance.now() - event.timeStamp, load: loads[0]?.startTime ? loads[0].duration : null })
            }
            painted.port2.postMessage(null)
          } else requestAnimationFrame(look)
        }
        requestAnimationFrame(look)
      }
      document.addEventListener(kind, onAct, { capture: true, once: true })
    })
  }, kind)

/** Where the timeline is. */
async function timeline(page: Page) {
  const track = player(page).getByRole('slider').locator('xpath=ancestor::span[@data-orientation][last()]')
  await track.scrollIntoViewIfNeeded()
  const box = await track.boundingBox()
  if (!box) throw new Error('there is no timeline')
  return { at: (second: number) => box.x + (box.width * second) / job.seconds, y: box.y + box.height / 2 }
}

async function seek(page: Page, second: number): Promise<Seek> {
  const { at, y } = await timeline(page)
  return measure(page, 'pointerdown', () => page.mouse.click(at(second), y))
}

async function measure(page: Page, kind: 'pointerdown' | 'keydown', act: () => Promise<void>): Promise<Seek> {
  await arm(page, kind)
  await act()
  const seek = await page.evaluate(() => window.measured)
  if (!seek) throw new Error('nothing was measured')
  // What is loaded ahead is no part of the next one.
  await calm(page)
  return seek
}

const underWay = new WeakMap<Page, Set<Request>>()
const QUIET_MILLIS = 100

/** Waits until nothing is being loaded, and nothing began to be for a moment. */
async function calm(page: Page): Promise<void> {
  for (let quiet = 0; quiet < QUIET_MILLIS; quiet += 20) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    if ((underWay.get(page)?.size ?? 0) > 0) quiet = 0
  }
}

function follow(page: Page): void {
  const requests = new Set<Request>()
  underWay.set(page, requests)
  page.on('request', (request) => requests.add(request))
  page.on('requestfinished', (request) => requests.delete(request))
  page.on('requestfailed', (request) => requests.delete(request))
}

const range = (count: number) => Array.from({ length: count }, (_, index) => index)

test('seeks', async ({ browser }) => {
  const context = await browser.newContext({ baseURL: job.url })
  await context.addCookies([{ ...job.cookie, url: job.url, httpOnly: true, sameSite: 'Lax' }])
  const page = await context.newPage()
  follow(page)
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(error.message))

  const opens: number[] = []
  for (const second of [1_207, 3_013, 2]) {
    await page.goto('about:blank')
    const begun = performance.now()
    await page.goto(`/sessions/${job.session}?t=${second + 0.5}`)
    await page.waitForFunction((wanted) => document.querySelector('.ap-term-text')?.textContent?.includes(` second ${wanted} `), second)
    opens.push(performance.now() - begun)
    await calm(page)
  }

  const floods = job.segment_seconds * job.flood_every
  /** Away from the floods, which are measured by themselves. */
  const quiet = (second: number) => (second % floods >= floods - job.segment_seconds ? second - 2 * job.segment_seconds : second)
  const spread = range(job.seeks).map((index) => ((index + 0.5) * job.seconds) / job.seeks)
  const seeks: Record<string, Seek[]> = { forward: [], backward: [], within: [], warm: [], flood: [] }
  // Two pieces of the hour that no other kind of seek touches, so that all are loaded for the first time.
  for (const second of spread) seeks.forward?.push(await seek(page, quiet(second)))
  await page.screenshot({ path: join(environment().artifacts, 'bench-seek-forward.png') })
  for (const second of spread.toReversed()) seeks.backward?.push(await seek(page, quiet(second - 3 * job.segment_seconds)))
  // So near, a click would be on the thumb: with the keys, five seconds forward and back.
  await seek(page, 1_805)
  await player(page).focus()
  for (const index of range(job.seeks)) {
    seeks.within?.push(await measure(page, 'keydown', () => page.keyboard.press(index % 2 === 0 ? 'ArrowRight' : 'ArrowLeft')))
  }
  // Three segments that stay loaded, forward and back.
  const kept = [603, 2_403, 1_503]
  for (const second of kept) await seek(page, second)
  for (const index of range(job.seeks)) seeks.warm?.push(await seek(page, (kept[index % 3] ?? 0) + (index % 4) * 2))
  for (const index of range(job.seconds / floods)) seeks.flood?.push(await seek(page, (index + 1) * floods - 3))
  await page.screenshot({ path: join(environment().artifacts, 'bench-seek-flood.png') })
  expect(errors).toEqual([])

  const times = (of: (seek: Seek) => number | null) =>
    Object.fromEntries(Object.entries(seeks).map(([kind, list]) => [kind, list.map(of).filter((time) => time !== null)]))
  writeFileSync(job.result, JSON.stringify({ seeks: times(({ took }) => took), loads: times(({ load }) => load), opens }))
  await context.close()
})
