/** One field the server did not accept. */
export interface FieldProblem {
  field: string
  code: string
  message: string
}

/** The parts of an RFC 9457 answer that this application reads. */
interface ProblemBody {
  title?: unknown
  code?: unknown
  detail?: unknown
  request_id?: unknown
  errors?: unknown
}

/**
 * Everything a call to the hub can fail with. `code` is stable and is what
 * decisions are made on; `message` is for a person; `requestId` finds the log
 * line. `status` is 0 when no answer came at all.
 */
export class ApiProblem extends Error {
  readonly status: number
  readonly code: string
  readonly title: string
  readonly requestId: string | null
  readonly fields: FieldProblem[]
  /** Seconds the server asked to wait (Retry-After), if it did. */
  readonly retryAfter: number | null

  constructor(init: {
    status: number
    code: string
    title: string
    detail?: string
    requestId?: string | null
    fields?: FieldProblem[]
    retryAfter?: number | null
  }) {
    super(init.detail || init.title)
    this.name = 'ApiProblem'
    this.status = init.status
    this.code = init.code
    this.title = init.title
    this.requestId = init.requestId ?? null
    this.fields = init.fields ?? []
    this.retryAfter = init.retryAfter ?? null
  }

  /** No answer from the hub: it is down, or the network is. */
  get offline(): boolean {
    return this.code === 'hub_unreachable'
  }
}

/** True when `error` is a problem with one of these codes. */
export function hasCode(error: unknown, ...codes: string[]): error is ApiProblem {
  return error instanceof ApiProblem && codes.includes(error.code)
}

const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined)

function fieldProblems(value: unknown): FieldProblem[] {
  if (!Array.isArray(value)) return []
  return value.flatMap((entry: unknown) => {
    if (typeof entry !== 'object' || entry === null) return []
    const { field, code, message } = entry as Record<string, unknown>
    return typeof field === 'string' && typeof message === 'string'
      ? [{ field, code: text(code) ?? 'invalid', message }]
      : []
  })
}

/** Turns an answer that is not 2xx into a problem, whatever stands in front of the hub sent. */
export async function problemFromResponse(response: Response): Promise<ApiProblem> {
  const requestId = response.headers.get('x-request-id')
  const retry = Number(response.headers.get('retry-after'))
  const common = {
    status: response.status,
    retryAfter: Number.isFinite(retry) && retry > 0 ? retry : null,
  }
  const isProblem = response.headers.get('content-type')?.includes('json')
  const body: ProblemBody | null = isProblem ? await response.json().catch(() => null) : null
  if (body === null || typeof body !== 'object') {
    return new ApiProblem({
      ...common,
      code: `http_${response.status}`,
      title: 'Unexpected answer',
      detail: `The server answered ${response.status} without saying why.`,
      requestId,
    })
  }
  return new ApiProblem({
    ...common,
    code: text(body.code) ?? `http_${response.status}`,
    title: text(body.title) ?? 'Request failed',
    detail: text(body.detail),
    requestId: text(body.request_id) ?? requestId,
    fields: fieldProblems(body.errors),
  })
}

/** The problem for a request that got no answer. */
export function unreachable(cause: unknown): ApiProblem {
  const timedOut = cause instanceof DOMException && cause.name === 'TimeoutError'
  return new ApiProblem({
    status: 0,
    code: timedOut ? 'request_timeout' : 'hub_unreachable',
    title: timedOut ? 'No answer in time' : 'Hub unreachable',
    detail: timedOut
      ? 'The hub did not answer in time. Try again in a moment.'
      : 'The hub cannot be reached. Check your connection; this page tries again by itself.',
  })
}
