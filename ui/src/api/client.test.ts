import { afterEach, describe, expect, it, vi } from 'vitest'
import { apiPath, get, post, remove } from './client'
import { ApiProblem } from './problem'

afterEach(() => vi.unstubAllGlobals())

const answer = (body: BodyInit | null, init: ResponseInit) => {
  const fetch = vi.fn<(url: string, init: RequestInit) => Promise<Response>>(async () => new Response(body, init))
  vi.stubGlobal('fetch', fetch)
  return fetch
}
const problemOf = (promise: Promise<unknown>): Promise<ApiProblem> =>
  promise.then(
    () => {
      throw new Error('expected the call to fail')
    },
    (error: ApiProblem) => error,
  )

describe('apiPath', () => {
  it('fills and escapes every parameter', () => {
    expect(apiPath('/admin/targets/{id}/host-keys/{key_id}', { id: 'a/b', key_id: 'c?d' })).toBe('/api/v1/admin/targets/a%2Fb/host-keys/c%3Fd')
  })
  it('leaves out filters that are not set', () => {
    expect(apiPath('/sessions', {}, { status: undefined, cursor: null, q: '', limit: 0, favorite: false })).toBe('/api/v1/sessions?limit=0&favorite=false')
  })
  it('escapes filters', () => {
    expect(apiPath('/targets', {}, { q: 'a&b=c d' })).toBe('/api/v1/targets?q=a%26b%3Dc+d')
  })
  it('refuses an empty parameter, which would name the collection', () => {
    expect(() => apiPath('/targets/{id}', { id: '' })).toThrow('path parameter id')
  })
})

describe('calls', () => {
  it('turns a problem document into an error with its code, fields and request id', async () => {
    answer(JSON.stringify({ title: 'Invalid', code: 'invalid_input', detail: 'Check it.', request_id: 'r1', errors: [{ field: 'port', code: 'range', message: 'Too big.' }, 7] }), {
      status: 422,
      headers: { 'content-type': 'application/problem+json' },
    })
    const problem = await problemOf(get('/api/v1/x'))
    expect(problem).toBeInstanceOf(ApiProblem)
    expect(problem).toMatchObject({ status: 422, code: 'invalid_input', message: 'Check it.', requestId: 'r1' })
    expect(problem.fields).toEqual([{ field: 'port', code: 'range', message: 'Too big.' }])
  })
  it('keeps the request id and the wait of an answer that is no problem document', async () => {
    answer('<html>', { status: 503, headers: { 'content-type': 'text/html', 'x-request-id': 'r2', 'retry-after': '7' } })
    expect(await problemOf(get('/api/v1/x'))).toMatchObject({ code: 'http_503', requestId: 'r2', retryAfter: 7 })
  })
  it('calls no answer at all offline', async () => {
    vi.stubGlobal('fetch', vi.fn<() => Promise<never>>(() => Promise.reject(new TypeError('refused'))))
    expect((await problemOf(get('/api/v1/x'))).offline).toBe(true)
  })
  it('reports an answer that cannot be read', async () => {
    answer('{', { status: 200, headers: { 'content-type': 'application/json' } })
    expect((await problemOf(get('/api/v1/x'))).code).toBe('malformed_answer')
  })
  it('sends JSON and a fresh idempotency key with every POST', async () => {
    const fetch = answer(null, { status: 204 })
    await post('/api/v1/x', { a: 1 })
    await post('/api/v1/x', { a: 1 })
    const keys = fetch.mock.calls.map(([, init]) => new Headers(init.headers).get('idempotency-key'))
    expect(fetch.mock.calls[0]?.[1].body).toBe('{"a":1}')
    expect(keys[0]).toMatch(/^[0-9a-f]{32}$/)
    expect(keys[0]).not.toBe(keys[1])
  })
  it('sends no body and no key with DELETE', async () => {
    const fetch = answer(null, { status: 204 })
    await remove('/api/v1/x')
    const init = fetch.mock.calls[0]?.[1]
    expect(init?.body).toBeUndefined()
    expect(new Headers(init?.headers).has('idempotency-key')).toBe(false)
  })
})
