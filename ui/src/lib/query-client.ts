import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query'
import { ApiProblem } from '@/api/problem'

type Listener = (problem: ApiProblem) => void
const expired = new Set<Listener>()

/** Calls `listener` whenever an answer says that the sign-in has ended. */
export function onSignInEnded(listener: Listener): () => void {
  expired.add(listener)
  return () => expired.delete(listener)
}

/** A password that is wrong is a 401 too, and ends nothing. */
function watch(error: unknown) {
  if (error instanceof ApiProblem && error.status === 401 && error.code !== 'invalid_credentials') {
    for (const listener of expired) listener(error)
  }
}

let answered = 0

/** When the hub last answered something that counts as activity of the sign-in. */
export const lastAnswerAt = (): number => answered

function noteAnswer(key?: readonly unknown[]) {
  // Readiness is public: it says nothing about who asks.
  if (key?.[0] !== 'readyz') answered = Date.now()
}

/** Worth another try by itself: no answer, or a server that is briefly unable. */
function transient(error: unknown): boolean {
  return error instanceof ApiProblem && (error.status === 0 || error.status === 502 || error.status === 504)
}

/** The cache of everything that was read; what is older than 10 s is read again when a page shows it. */
export const queryClient = new QueryClient({
  queryCache: new QueryCache({
    // Who was never signed in is led to the login by the router; nothing has ended for them.
    onError: (error, query) => (query.queryKey[0] === 'auth' && query.state.data === undefined ? undefined : watch(error)),
    onSuccess: (_data, query) => noteAnswer(query.queryKey),
  }),
  mutationCache: new MutationCache({ onError: watch, onSuccess: () => noteAnswer() }),
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      retry: (count, error) => count < 2 && transient(error),
      retryDelay: (count) => 400 * 2 ** count,
      throwOnError: false,
      networkMode: 'always',
    },
    mutations: { networkMode: 'always', retry: false },
  },
})
