/** Every address of the application, what its search parameters may hold, and which page it loads. */
import { createRootRouteWithContext, createRoute, createRouter, lazyRouteComponent, redirect } from '@tanstack/react-router'
import type { QueryClient } from '@tanstack/react-query'
import { meQuery } from '@/api/hooks'
import { ApiProblem } from '@/api/problem'
import { NotFoundPage, RouteErrorPage, RoutePending } from '@/components/route-states'
import { AppFrame } from '@/layout/app-frame'
import { RootFrame } from '@/layout/root-frame'
import { onSignInEnded, queryClient } from '@/lib/query-client'
import { choiceParam, flagParam, returnPath, textParam } from '@/lib/search'

type Raw = Record<string, unknown>

/** Where to go after signing in, and what went wrong at the provider. */
export interface LoginSearch {
  return_to?: string
  error?: string
  request_id?: string
}

/** A connection to open at once in the workspace; a reason travels in the history state, never in the address. */
export interface TerminalSearch {
  target?: string
  credential?: string
}

/** What the launcher shows. */
export interface LauncherSearch {
  q?: string
  zone_id?: string
  tag?: string
  favorite?: true
  sort?: 'name' | 'recent'
}

const rootRoute = createRootRouteWithContext<{ queryClient: QueryClient }>()({
  component: RootFrame,
  notFoundComponent: NotFoundPage,
})

const loginRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/login',
  validateSearch: (raw: Raw): LoginSearch => ({
    return_to: returnPath(raw.return_to),
    error: textParam(raw, 'error', 80),
    request_id: textParam(raw, 'request_id', 80),
  }),
  component: lazyRouteComponent(() => import('@/pages/login'), 'LoginPage'),
})

/** Everything below needs someone signed in; who is not comes back here after signing in. */
const signedInRoute = createRoute({
  getParentRoute: () => rootRoute,
  id: 'signed-in',
  beforeLoad: async ({ context, location }) => {
    try {
      return { me: await context.queryClient.ensureQueryData(meQuery) }
    } catch (error) {
      if (error instanceof ApiProblem && error.status === 401) {
        const return_to = returnPath(location.href)
        throw redirect({ to: '/login', search: { return_to: return_to === '/' ? undefined : return_to } })
      }
      throw error
    }
  },
})

/** Full bleed, without navigation: the workspace draws its own frame. */
const terminalRoute = createRoute({
  getParentRoute: () => signedInRoute,
  path: '/terminal',
  validateSearch: (raw: Raw): TerminalSearch => ({
    target: textParam(raw, 'target', 64),
    credential: textParam(raw, 'credential', 64),
  }),
  component: lazyRouteComponent(() => import('@/terminal'), 'default'),
})

const frameRoute = createRoute({ getParentRoute: () => signedInRoute, id: 'frame', component: AppFrame })

const launcherRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/',
  validateSearch: (raw: Raw): LauncherSearch => ({
    q: textParam(raw, 'q'),
    zone_id: textParam(raw, 'zone_id', 64),
    tag: textParam(raw, 'tag', 64),
    favorite: flagParam(raw, 'favorite'),
    sort: choiceParam(raw, 'sort', ['name', 'recent'] as const),
  }),
  component: lazyRouteComponent(() => import('@/pages/launcher'), 'LauncherPage'),
})

const routeTree = rootRoute.addChildren([
  loginRoute,
  signedInRoute.addChildren([terminalRoute, frameRoute.addChildren([launcherRoute])]),
])

export const router = createRouter({
  routeTree,
  context: { queryClient },
  defaultPreload: 'intent',
  defaultPreloadStaleTime: 0,
  defaultErrorComponent: RouteErrorPage,
  defaultPendingComponent: RoutePending,
  defaultNotFoundComponent: NotFoundPage,
  defaultPendingMs: 200,
  scrollRestoration: true,
})

// A sign-in that ends while a page is open leads to the login and back to the same place.
onSignInEnded(() => {
  const here = router.state.location
  if (here.pathname === '/login') return
  queryClient.clear()
  void router.navigate({ to: '/login', search: { return_to: returnPath(here.href), error: 'expired' } })
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
  interface HistoryState {
    /** Why a connection is opened, where the target asks for it. */
    reason?: string
  }
}
