/** The hub's HTTP interface, as another client than the console uses it: to prepare and to check. */

export class Refused extends Error {
  readonly status: number
  readonly code: string
  constructor(method: string, path: string, status: number, text: string) {
    super(`${method} ${path} was answered with ${status}: ${text}`)
    this.status = status
    this.code = (JSON.parse(text || '{}') as { code?: string }).code ?? ''
  }
}

export class Api {
  readonly origin: string
  #cookie: { name: string; value: string } | null = null

  constructor(origin: string) {
    this.origin = origin
  }

  /** The session's cookie, for a browser that shall be signed in. */
  get cookie(): { name: string; value: string } {
    if (!this.#cookie) throw new Error('not signed in')
    return this.#cookie
  }

  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await fetch(`${this.origin}/api/v1${path}`, {
      method,
      headers: {
        origin: this.origin,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(this.#cookie ? { cookie: `${this.#cookie.name}=${this.#cookie.value}` } : {}),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Refused(method, path, answer.status, text)
    const set = answer.headers.getSetCookie().find((cookie) => /^(__Host-)?openpam=/.test(cookie))
    const [name, value] = set?.split(';')[0]?.split('=') ?? []
    if (name && value) this.#cookie = { name, value }
    return (text ? JSON.parse(text) : undefined) as T
  }

  get = <T>(path: string) => this.call<T>('GET', path)
  post = <T>(path: string, body: unknown = {}) => this.call<T>('POST', path, body)
  put = <T>(path: string, body?: unknown) => this.call<T>('PUT', path, body)
  patch = <T>(path: string, body: unknown) => this.call<T>('PATCH', path, body)
  delete = <T>(path: string) => this.call<T>('DELETE', path)

  async signIn(tenant: string, username: string, password: string): Promise<this> {
    await this.post('/auth/local', { tenant, username, password })
    return this
  }
}
