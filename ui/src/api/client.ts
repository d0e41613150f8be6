/** The only place of the application that talks HTTP. */
import { ApiProblem, problemFromResponse, unreachable } from './problem'
import type { Readiness } from './types'

const BASE = '/api/v1'
const TIMEOUT_MS = 30_000

/** The `{name}` parts of a path template, as an object type. */
export type PathParams<Template extends string> =
  Template extends `${string}{${infer Name}}${infer Rest}`
    ? { [Key in Name | keyof PathParams<Rest>]: string }
    : // oxlint-disable-next-line typescript/ban-types -- no parameters: an object without keys
      {}

/** A value that may stand in a query string; absent ones are left out. */
export type QueryValue = string | number | boolean | null | undefined

/** Fills a path template; every part is escaped, a missing one is a mistake of the caller. */
export function apiPath<Template extends string>(
  template: Template,
  params: PathParams<Template>,
  query: Record<string, QueryValue> = {},
): string {
  const values = params as Record<string, string>
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name]
    if (!value) throw new Error(`path parameter ${name} of ${template} is missing`)
    return encodeURIComponent(value)
  })
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') search.set(name, String(value))
  }
  const suffix = search.size > 0 ? `?${search}` : ''
  return `${BASE}${path}${suffix}`
}

interface RequestOptions {
  body?: unknown
  signal?: AbortSignal
  /** Milliseconds; the default suits everything but connection tests. */
  timeout?: number
}

async function send(method: string, url: string, options: RequestOptions = {}): Promise<Response> {
  const headers = new Headers({ accept: 'application/json, application/problem+json' })
  if (options.body !== undefined) headers.set('content-type', 'application/json')
  // A browser repeats a POST by itself when a kept-alive connection breaks.
  if (method === 'POST') headers.set('idempotency-key', idempotencyKey())
  const timeout = AbortSignal.timeout(options.timeout ?? TIMEOUT_MS)
  let response: Response
  try {
    response = await fetch(url, {
      method,
      headers,
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      credentials: 'same-origin',
      redirect: 'error',
      cache: 'no-store',
      signal: options.signal ? AbortSignal.any([options.signal, timeout]) : timeout,
    })
  } catch (cause) {
    if (options.signal?.aborted) throw cause
    throw unreachable(cause)
  }
  if (!response.ok) throw await problemFromResponse(response)
  return response
}

async function json<Body>(response: Response): Promise<Body> {
  if (response.status === 204) return undefined as Body
  try {
    return (await response.json()) as Body
  } catch {
    throw new ApiProblem({
      status: response.status,
      code: 'malformed_answer',
      title: 'Unexpected answer',
      detail: 'The hub sent something this page cannot read. Reload; if it stays, tell your administrator.',
      requestId: response.headers.get('x-request-id'),
    })
  }
}

function idempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Reads a resource. */
export const get = async <Body>(url: string, options?: Omit<RequestOptions, 'body'>) =>
  json<Body>(await send('GET', url, options))
/** Creates, or asks for an act. */
export const post = async <Body = void>(url: string, body?: unknown, options?: RequestOptions) =>
  json<Body>(await send('POST', url, { ...options, body }))
/** Asks for an act whose answer is a report; `requestId` finds the hub's log lines about it. */
export async function postTraced<Body>(url: string, body?: unknown, options?: RequestOptions): Promise<Body & { requestId: string | null }> {
  const response = await send('POST', url, { ...options, body })
  return { requestId: response.headers.get('x-request-id'), ...(await json<Body>(response)) }
}
/** Replaces a resource or sets a flag. */
export const put = async <Body = void>(url: string, body?: unknown) =>
  json<Body>(await send('PUT', url, { body }))
/** Changes the given fields only. */
export const patch = async <Body = void>(url: string, body: unknown) =>
  json<Body>(await send('PATCH', url, { body }))
/** Removes a resource. */
export const remove = async (url: string) => {
  await send('DELETE', url)
}

/** Removes a resource, saying why; what is left of it is the answer. */
export const removeWith = async <Body>(url: string, body: unknown) => json<Body>(await send('DELETE', url, { body }))

/** The readiness of the hub, which answers 503 with the same document when a part is down. */
export async function readiness(signal?: AbortSignal): Promise<Readiness | null> {
  try {
    const response = await fetch('/readyz', { signal: signal ? AbortSignal.any([signal, AbortSignal.timeout(5000)]) : AbortSignal.timeout(5000), cache: 'no-store' })
    return (await response.json().catch(() => null)) as Readiness | null
  } catch (cause) {
    throw unreachable(cause)
  }
}

const ALIVE_TIMEOUT_MS = 4_000

/** Whether the hub answers at all. Public, so it keeps nobody signed in. */
export async function hubAnswers(): Promise<boolean> {
  try {
    return (await fetch('/healthz', { signal: AbortSignal.timeout(ALIVE_TIMEOUT_MS), cache: 'no-store' })).ok
  } catch {
    return false
  }
}
