/**
 * What every test gets: a world per worker, and browsers that are watched. A console error, a
 * violation of the content policy, a request to another origin or a secret in the browser's storage
 * fails the test it happened in, whatever the test was about.
 */
import { join } from 'node:path'
import { type Browser, type BrowserContext, type BrowserContextOptions, expect, type Page, test as base } from '@playwright/test'
import type { Api } from './api.ts'
import type { HubOptions } from './own-hub.ts'
import { environment, stack, unique } from './stack.ts'
import { World } from './world.ts'

/** Something a page said on its console. */
interface Said {
  text: string
  url: string
}

const provider = new URL(stack.servers.oidc.issuer).origin

/** What the provider's own pages say, and that nobody is signed in yet. */
const EXPECTED: readonly ((said: Said) => boolean)[] = [
  ({ url }) => url.startsWith(`${provider}/`),
  ({ text, url }) => text.includes('status of 401') && new URL(url).pathname === '/api/v1/auth/me',
]

export class Watch {
  readonly #errors: Said[] = []
  readonly #foreign: string[] = []
  readonly #tokens = new Set<string>()
  readonly #pages = new Set<Page>()
  readonly #expected = [...EXPECTED]
  readonly #origins: string[]

  constructor(origins: string[]) {
    this.#origins = origins
  }

  /** Something that may stand on the console in this test: part of its text, or of the address it is about. */
  expect(...parts: string[]): void {
    for (const part of parts) this.#expected.push(({ text, url }) => text.includes(part) || url.includes(part))
  }

  /** A secret that must not be found in the browser's storage. */
  secret(value: string): void {
    this.#tokens.add(value)
  }

  async follow(context: BrowserContext): Promise<void> {
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        console.error(`content policy violated: ${event.violatedDirective} by ${event.blockedURI} ${event.sourceFile ?? ''}`)
      })
    })
    context.on('page', (page) => this.#followPage(page))
  }

  #followPage(page: Page): void {
    this.#pages.add(page)
    page.on('console', (message) => {
      if (message.type() === 'error') this.#errors.push({ text: message.text(), url: message.location().url })
    })
    page.on('pageerror', (error) => this.#errors.push({ text: `uncaught: ${error.stack ?? error.message}`, url: '' }))
    page.on('request', (request) => {
      const { protocol, origin } = new URL(request.url())
      if (!['data:', 'blob:'].includes(protocol) && !this.#origins.includes(origin)) this.#foreign.push(request.url())
    })
    page.on('websocket', (socket) => {
      const { origin } = new URL(socket.url().replace(/^ws/, 'http'))
      if (!this.#origins.includes(origin)) this.#foreign.push(socket.url())
      socket.on('framereceived', ({ payload }) => {
        const token = typeof payload === 'string' && /"resume_token":"([^"]+)"/.exec(payload)?.[1]
        if (token) this.#tokens.add(token)
      })
    })
  }

  async check(): Promise<void> {
    for (const page of this.#pages) {
      if (page.isClosed() || !page.url().startsWith('http')) continue
      const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]))
      for (const cookie of await page.context().cookies()) this.#tokens.add(cookie.value)
      const found = [...this.#tokens].filter((token) => stored.includes(token))
      expect(found, `secrets in the browser's storage: ${stored}`).toEqual([])
    }
    const unexpected = this.#errors.filter((said) => !this.#expected.some((matches) => matches(said)))
    expect(unexpected, 'nothing unexpected stands on the console').toEqual([])
    expect(this.#foreign, 'no request leaves the origin').toEqual([])
  }
}

interface TestFixtures {
  watch: Watch
  /** A browser of its own, signed in as whoever `api` is. */
  browserFor(api: Api | null, options?: BrowserContextOptions): Promise<Page>
  /** Keeps a picture with the artifacts. */
  picture(page: Page, name: string): Promise<void>
}

export const test = base.extend<TestFixtures, { hubOptions: HubOptions; world: World }>({
  hubOptions: [{}, { scope: 'worker', option: true }],
  world: [
    async ({ hubOptions }, use) => {
      const world = await World.start(hubOptions)
      await use(world)
      await world.hub.stop()
    },
    { scope: 'worker', timeout: 90_000 },
  ],
  watch: async ({ world }, use, info) => {
    const watch = new Watch([world.url, stack.url, provider])
    await use(watch)
    if (info.status === info.expectedStatus) await watch.check()
    else await info.attach('hub.log', { body: world.hub.log.split('\n').slice(-200).join('\n') })
  },
  browserFor: async ({ browser, world, watch }, use) => {
    const contexts: BrowserContext[] = []
    await use(async (api, options) => {
      const context = await openContext(browser, world, options)
      contexts.push(context)
      await watch.follow(context)
      if (api) await context.addCookies([{ ...api.cookie, url: api.origin, httpOnly: true, sameSite: 'Lax' }])
      return context.newPage()
    })
    await watch.check()
    for (const context of contexts) await context.close()
  },
  picture: async ({ world: _world }, use) => {
    await use(async (page, name) => {
      await page.screenshot({ path: join(environment().artifacts, `${name}.png`), animations: 'disabled' })
    })
  },
})

function openContext(browser: Browser, world: World, options: BrowserContextOptions = {}): Promise<BrowserContext> {
  return browser.newContext({
    baseURL: world.url,
    permissions: ['clipboard-read', 'clipboard-write'],
    ...options,
  })
}

export { expect, unique }
export type { Page }
