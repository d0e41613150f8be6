/** Every address of the application, what its search parameters may hold, and which page it loads. */
import { createRootRouteWithContext, createRoute, createRouter, lazyRouteComponent, redirect } from '@tanstack/react-router'
import type { QueryClient } from '@tanstack/react-query'
import { meQuery } from '@/api/hooks'
import { ApiProblem } from '@/api/problem'
import type { DeliveryState, Outcome, RecordingKept, SessionStatus } from '@/api/types'
import { NotFoundPage, RouteErrorPage, RoutePending } from '@/components/route-states'
import { AppFrame } from '@/layout/app-frame'
import { SignedInFrame } from '@/layout/signed-in-frame'
import { RootFrame } from '@/layout/root-frame'
import { onSignInEnded, queryClient } from '@/lib/query-client'
import { hasUnsaved } from '@/lib/unsaved'
import { choiceParam, dayParam, flagParam, returnPath, secondsParam, textParam } from '@/lib/search'

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

/** How far back a list of what happened goes. */
export const PERIODS = ['hour', 'day', 'week', 'month'] as const
export type Period = (typeof PERIODS)[number]

export interface NamedSearch {
  q?: string
}

export interface TargetsSearch extends NamedSearch {
  zone_id?: string
  tag?: string
}

export interface SessionsSearch extends NamedSearch {
  status?: SessionStatus
  user_id?: string
  target_id?: string
  since?: Period
  /** Days of the calendar of whoever looks, `2026-03-31`; the last one included. */
  from?: string
  to?: string
  recording?: RecordingKept
}

/** A moment of the session's recording: seconds since its beginning. */
export interface SessionSearch {
  t?: number
  /** What is looked for in the recording. */
  find?: string
}

/** What is looked for in everything that was recorded. */
export interface RecordingsSearch {
  q?: string
  kind?: 'command' | 'output'
  /** Days, as one has them in one's own time zone; the last one is included. */
  from?: string
  to?: string
  user?: string
  target?: string
  zone?: string
  user_id?: string
  target_id?: string
}

/** To look is what one does unless the address says more. */
export interface WatchSearch {
  mode?: 'join'
}

export interface LedgerSearch {
  q?: string
  action?: string
  outcome?: Outcome
  actor_id?: string
  object_id?: string
  since?: Period
}

export interface EventsSearch {
  view?: 'webhooks'
  event_type?: string
  source?: string
  delivery_state?: DeliveryState
  since?: Period
}

/** The target the guided set-up is about, once it exists. */
export interface SetupSearch {
  target?: string
}

const sessionsSearch = (raw: Raw): SessionsSearch => ({
  q: textParam(raw, 'q'),
  status: choiceParam(raw, 'status', ['active', 'completed', 'failed', 'terminated'] as const),
  user_id: textParam(raw, 'user_id', 64),
  target_id: textParam(raw, 'target_id', 64),
  since: choiceParam(raw, 'since', PERIODS),
  from: dayParam(raw, 'from'),
  to: dayParam(raw, 'to'),
  recording: choiceParam(raw, 'recording', ['recorded', 'not_recorded', 'held', 'damaged', 'deleted'] as const),
})

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
  component: SignedInFrame,
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

/** Full bleed as well: somebody else's session. */
const watchRoute = createRoute({
  getParentRoute: () => signedInRoute,
  path: '/watch/$id',
  validateSearch: (raw: Raw): WatchSearch => ({ mode: choiceParam(raw, 'mode', ['join'] as const) }),
  component: lazyRouteComponent(() => import('@/terminal/watch'), 'default'),
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

const mySessionsRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/my-sessions',
  validateSearch: (raw: Raw): SessionsSearch => sessionsSearch(raw),
  component: lazyRouteComponent(() => import('@/pages/sessions'), 'MySessionsPage'),
})

const sessionsRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/sessions',
  validateSearch: (raw: Raw): SessionsSearch => sessionsSearch(raw),
  component: lazyRouteComponent(() => import('@/pages/sessions'), 'AllSessionsPage'),
})

const sessionRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/sessions/$id',
  validateSearch: (raw: Raw): SessionSearch => ({ t: secondsParam(raw, 't'), find: textParam(raw, 'find', 200) }),
  component: lazyRouteComponent(() => import('@/pages/sessions/session'), 'SessionPage'),
})

const searchRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/search',
  validateSearch: (raw: Raw): RecordingsSearch => ({
    q: textParam(raw, 'q', 200),
    kind: choiceParam(raw, 'kind', ['command', 'output'] as const),
    from: dayParam(raw, 'from'),
    to: dayParam(raw, 'to'),
    user: textParam(raw, 'user', 200),
    target: textParam(raw, 'target', 200),
    zone: textParam(raw, 'zone', 200),
    user_id: textParam(raw, 'user_id', 64),
    target_id: textParam(raw, 'target_id', 64),
  }),
  component: lazyRouteComponent(() => import('@/pages/search'), 'SearchPage'),
})

const ledgerRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/ledger',
  validateSearch: (raw: Raw): LedgerSearch => ({
    q: textParam(raw, 'q'),
    action: textParam(raw, 'action', 100),
    outcome: choiceParam(raw, 'outcome', ['success', 'denied', 'failure'] as const),
    actor_id: textParam(raw, 'actor_id', 64),
    object_id: textParam(raw, 'object_id', 64),
    since: choiceParam(raw, 'since', PERIODS),
  }),
  component: lazyRouteComponent(() => import('@/pages/ledger'), 'LedgerPage'),
})

const eventsRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/events',
  validateSearch: (raw: Raw): EventsSearch => ({
    view: choiceParam(raw, 'view', ['webhooks'] as const),
    event_type: textParam(raw, 'event_type', 128),
    source: textParam(raw, 'source', 200),
    delivery_state: choiceParam(raw, 'delivery_state', ['pending', 'succeeded', 'failed'] as const),
    since: choiceParam(raw, 'since', PERIODS),
  }),
  component: lazyRouteComponent(() => import('@/pages/events'), 'EventsPage'),
})

const zonesRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/zones',
  validateSearch: (raw: Raw): NamedSearch => ({ q: textParam(raw, 'q') }),
  component: lazyRouteComponent(() => import('@/pages/zones'), 'ZonesPage'),
})

const sitesRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/sites',
  validateSearch: (raw: Raw): NamedSearch => ({ q: textParam(raw, 'q') }),
  component: lazyRouteComponent(() => import('@/pages/sites'), 'SitesPage'),
})

const targetsRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/targets',
  validateSearch: (raw: Raw): TargetsSearch => ({
    q: textParam(raw, 'q'),
    zone_id: textParam(raw, 'zone_id', 64),
    tag: textParam(raw, 'tag', 64),
  }),
  component: lazyRouteComponent(() => import('@/pages/targets'), 'TargetsPage'),
})

const targetRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/targets/$id',
  component: lazyRouteComponent(() => import('@/pages/targets/target'), 'TargetPage'),
})

const credentialsRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/credentials',
  validateSearch: (raw: Raw): NamedSearch => ({ q: textParam(raw, 'q') }),
  component: lazyRouteComponent(() => import('@/pages/credentials'), 'CredentialsPage'),
})

const credentialRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/credentials/$id',
  component: lazyRouteComponent(() => import('@/pages/credentials/credential'), 'CredentialPage'),
})

const usersRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/users',
  validateSearch: (raw: Raw): NamedSearch => ({ q: textParam(raw, 'q') }),
  component: lazyRouteComponent(() => import('@/pages/users'), 'UsersPage'),
})

const userRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/users/$id',
  component: lazyRouteComponent(() => import('@/pages/users/user'), 'UserPage'),
})

const groupsRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/groups',
  validateSearch: (raw: Raw): NamedSearch => ({ q: textParam(raw, 'q') }),
  component: lazyRouteComponent(() => import('@/pages/groups'), 'GroupsPage'),
})

const groupRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/groups/$id',
  component: lazyRouteComponent(() => import('@/pages/groups/group'), 'GroupPage'),
})

const serviceAccountsRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/service-accounts',
  validateSearch: (raw: Raw): NamedSearch => ({ q: textParam(raw, 'q') }),
  component: lazyRouteComponent(() => import('@/pages/service-accounts'), 'ServiceAccountsPage'),
})

const serviceAccountRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/service-accounts/$id',
  component: lazyRouteComponent(() => import('@/pages/service-accounts/service-account'), 'ServiceAccountPage'),
})

const settingsRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/settings',
  component: lazyRouteComponent(() => import('@/pages/settings'), 'SettingsPage'),
})

const systemRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/system',
  component: lazyRouteComponent(() => import('@/pages/system'), 'SystemPage'),
})

const profileRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/profile',
  component: lazyRouteComponent(() => import('@/pages/profile'), 'ProfilePage'),
})

const setupRoute = createRoute({
  getParentRoute: () => frameRoute,
  path: '/setup',
  validateSearch: (raw: Raw): SetupSearch => ({ target: textParam(raw, 'target', 64) }),
  component: lazyRouteComponent(() => import('@/pages/setup'), 'SetupPage'),
})

const routeTree = rootRoute.addChildren([
  loginRoute,
  signedInRoute.addChildren([
    terminalRoute,
    watchRoute,
    frameRoute.addChildren([
      launcherRoute,
      mySessionsRoute,
      sessionsRoute,
      sessionRoute,
      searchRoute,
      ledgerRoute,
      eventsRoute,
      zonesRoute,
      sitesRoute,
      targetsRoute,
      targetRoute,
      credentialsRoute,
      credentialRoute,
      usersRoute,
      userRoute,
      groupsRoute,
      groupRoute,
      serviceAccountsRoute,
      serviceAccountRoute,
      settingsRoute,
      systemRoute,
      profileRoute,
      setupRoute,
    ]),
  ]),
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
  // Where something is being entered, saving it says so, and keeps it.
  if (here.pathname === '/login' || hasUnsaved()) return
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
    /** That a recording is to be played, not only shown. */
    play?: boolean
  }
}
