/** What the workspace asks of the hub over HTTP, through the application's one API client. */
import { apiPath, get, hubAnswers, post, postTraced, put } from '@/api/client'
import { ApiProblem } from '@/api/problem'
import { meQuery } from '@/api/hooks'
import type { LaunchTarget, Page, Preferences, ResumeToken, Session } from '@/api/types'
import { queryClient } from '@/lib/query-client'
import type { Answer, ConnectionServices } from './protocol/connection'
import type { WatchMode } from './protocol/messages'

async function answer<T>(request: Promise<T>): Promise<Answer<T>> {
  try {
    return { ok: true, value: await request }
  } catch (error) {
    if (!(error instanceof ApiProblem) || error.status === 0) return { ok: false, problem: null }
    return {
      ok: false,
      problem: {
        status: error.status,
        code: error.code,
        title: error.title,
        detail: error.message,
        requestId: error.requestId,
      },
    }
  }
}

export const connectionServices: ConnectionServices = {
  preflight: ({ targetId, credentialId, cols, rows, reason }) =>
    answer(
      postTraced<object>(
        apiPath('/targets/{id}/preflight', { id: targetId }),
        { credential_id: credentialId, cols, rows, reason },
        { timeout: 45_000 },
      ).then(({ requestId }) => requestId),
    ),
  explain: async (targetId, after) => {
    const user_id = queryClient.getQueryData(meQuery.queryKey)?.user.id
    const failed = await answer(
      get<Page<Session>>(apiPath('/sessions', {}, { status: 'failed', target_id: targetId, user_id, limit: 1 })),
    )
    if (!failed.ok) return failed
    const [last] = failed.value.items
    // An attempt of before says nothing about this one. Both ids are the hub's and begin with the time (UUIDv7,
    // RFC 9562 §5.7); the browser's clock may be off.
    if (!last?.error_code || !after || last.id < after) return { ok: true, value: null }
    const { error_code, error_message, id } = last
    return { ok: true, value: { status: 502, code: error_code, title: 'Could not connect', detail: error_message ?? '', sessionId: id } }
  },
  resume: async (sessionId) => {
    const result = await answer(post<ResumeToken>(apiPath('/sessions/{id}/resume', { id: sessionId })))
    return result.ok ? { ok: true, value: { resumeToken: result.value.resume_token } } : result
  },
  terminate: (sessionId) =>
    answer(
      post(apiPath('/sessions/{id}/terminate', { id: sessionId }), {
        reason: 'Closed in the workspace',
      }),
    ),
  alive: hubAnswers,
}

/** Whether a session could be watched or joined now. */
export const watchPreflight = (sessionId: string, mode: WatchMode) =>
  answer<void>(post(apiPath('/sessions/{id}/watch', { id: sessionId }), { mode }))

/** One target as the launcher sees it. */
export const fetchTarget = (id: string) =>
  answer(get<LaunchTarget>(apiPath('/targets/{id}', { id })))

/** A session began: which targets were used last has changed. */
export const forgetLaunchTargets = () => void queryClient.invalidateQueries({ queryKey: ['launcher'] })

/** The targets this person may open, those used last first. */
export const searchTargets = (query: string, signal?: AbortSignal) =>
  get<Page<LaunchTarget>>(apiPath('/targets', {}, { q: query, sort: 'recent', limit: 50 }), {
    signal,
  })

/** This person's own sessions that are still running. */
export const fetchActiveSessions = (userId: string) =>
  answer(
    get<Page<Session>>(
      apiPath('/sessions', {}, { status: 'active', user_id: userId, limit: 200 }),
    ).then((page) => page.items.filter((item) => item.protocol === 'ssh' && item.user_id === userId)),
  )

export const fetchPreferences = () => get<Preferences>(apiPath('/me/preferences', {}))
export const storePreferences = (preferences: Preferences) =>
  put(apiPath('/me/preferences', {}), preferences)
