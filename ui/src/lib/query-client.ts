import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query'
import { ApiProblem } from '@/api/problem'

type Listener = (problem: ApiProblem) => void
const expired = new Set<Listener>()

/** Calls `listener` whenever an answer says that the sign-in has ended. */
export function onSignInEnded(listener: Listener): () => void {
  expired.add(listener)
  return () => expired.delete(listener)
}

function watch(error: unknown) {
  if (error instanceof ApiProblem && error.status === 401) {
    for (const listener of expired) listener(error)
  }
}

/** Worth another try by itself: no answer, or a server that is briefly unable. */
function transient(error: unknown): boolean {
  return error instanceof ApiProblem && (error.status === 0 || error.status === 502 || error.status === 504)
}

/** The cache of everything that was read; what is older than 10 s is read again when a page shows it. */
export const queryClient = new QueryClient({
  queryCache: new QueryCache({ onError: watch }),
  mutationCache: new MutationCache({ onError: watch }),
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
