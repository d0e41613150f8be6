/** What the workspace asks of the hub over HTTP, through the application's one API client. */
import { apiPath, get, post, put } from '@/api/client'
import { ApiProblem } from '@/api/problem'
import type { LaunchTarget, Page, Preferences, Session } from '@/api/types'
import type { Answer, ConnectionServices } from './protocol/connection'

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
      },
    }
  }
}

export const connectionServices: ConnectionServices = {
  preflight: ({ targetId, credentialId, cols, rows, reason }) =>
    answer(
      post(
        apiPath('/targets/{id}/preflight', { id: targetId }),
        { credential_id: credentialId, cols, rows, reason },
        { timeout: 45_000 },
      ),
    ),
  resume: async (sessionId) => {
    const result = await answer(
      post<{ resume_token: string }>(apiPath('/sessions/{id}/resume', { id: sessionId })),
    )
    return result.ok ? { ok: true, value: { resumeToken: result.value.resume_token } } : result
  },
  terminate: (sessionId) =>
    answer(
      post(apiPath('/sessions/{id}/terminate', { id: sessionId }), {
        reason: 'Closed in the workspace',
      }),
    ),
}

/** One target as the launcher sees it. */
export const fetchTarget = (id: string) =>
  answer(get<LaunchTarget>(apiPath('/targets/{id}', { id })))

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
