/** What a first visit costs, and what the hub sends with it. */
import { expect, test } from './support/fixtures.ts'

const LIMIT = 300 * 1024

test('the first load is under 300 KB and leaves the terminal out', async ({ browserFor, world }) => {
  const { person, target } = await world.personWithTarget()
  const page = await browserFor(person.api)
  const client = await page.context().newCDPSession(page)
  await client.send('Network.enable')
  const urls = new Map<string, string>()
  const sizes = new Map<string, number>()
  client.on('Network.responseReceived', ({ requestId, response }) => urls.set(requestId, new URL(response.url).pathname))
  client.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    const path = urls.get(requestId)
    if (path) sizes.set(path, (sizes.get(path) ?? 0) + encodedDataLength)
  })
  await page.goto('/')
  await expect(page.getByRole('button', { name: `Connect to ${target.name}` })).toBeVisible()
  // The stream of changes has no end.
  await expect.poll(() => [...urls.values()].filter((path) => !sizes.has(path) && !path.endsWith('/events/stream'))).toEqual([])
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0)
  const table = [...sizes].toSorted((a, b) => b[1] - a[1]).map(([path, size]) => `${size}\t${path}`).join('\n')
  expect(total, table).toBeGreaterThan(50 * 1024)
  expect(total, table).toBeLessThan(LIMIT)
  expect([...sizes.keys()].filter((path) => /xterm|terminal|api-docs/i.test(path))).toEqual([])
  test.info().annotations.push({ type: 'first load', description: `${Math.round(total / 1024)} KB\n${table}` })
})

test('the policy allows nothing but the origin, and no inline code or style', async ({ world }) => {
  const answer = await fetch(`${world.url}/`)
  const policy = answer.headers.get('content-security-policy') ?? ''
  expect(policy).toContain("default-src 'none'")
  expect(policy).toContain("script-src 'self'")
  expect(policy).toContain("style-src 'self'")
  expect(policy).toContain("frame-ancestors 'none'")
  // Positions and sizes are set by scripts as style attributes; nothing else may be inline. The player of
  // recordings draws with WebAssembly, which this word allows, and no code from text.
  expect(policy.replace("style-src-attr 'unsafe-inline'", '').replace("'wasm-unsafe-eval'", '')).not.toMatch(/unsafe|https?:|\*/)
  expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
  expect(answer.headers.get('referrer-policy')).toMatch(/no-referrer|same-origin/)
})
