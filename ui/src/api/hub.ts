/** Every collection and act of the hub, by name. Pages use these and nothing below. */
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query'
import { queryClient } from '@/lib/query-client'
import { askFrom, withKnown } from '@/lib/segments'
import type { PlayerIndex, PlayerSegment } from '@/player/format'
import { apiPath, get, patch, post, postTraced, put, remove, removeWith } from './client'
import { meQuery } from './hooks'
import { listQuery, resource, type Filters } from './resource'
import type {
  ActImages,
  ApiToken,
  AuthSession,
  Body,
  ConnectionTest,
  CreatedWebhook,
  Credential,
  EventDetail,
  EventType,
  FreshToken,
  Group,
  GroupMember,
  HostKey,
  LaunchTarget,
  LedgerEntry,
  LedgerPlace,
  LedgerStanding,
  LoggedOut,
  Me,
  Page,
  Participant,
  Permission,
  PlatformEvent,
  Recording,
  RecordingRetention,
  RecordingMatches,
  RecordingSummary,
  Scan,
  ServiceAccount,
  Session,
  Settings,
  Site,
  SystemStatus,
  Target,
  User,
  Webhook,
  WebhookReplay,
  WebhookSecret,
  WebhookTest,
  Zone,
} from './types'

/** A test dials, authenticates and opens a shell: give it the time of all its stages. */
const TEST_TIMEOUT_MS = 90_000

// --- signing in and out ---------------------------------------------------

export const signInLocally = (body: Body<'LocalLogin'>) =>
  post<Me>(apiPath('/auth/local', {}), body)
export const signOut = () => post<LoggedOut>(apiPath('/auth/logout', {}))
/** Renews the sign-in, and what the directory says about the person. */
export const renewSignIn = async () => queryClient.setQueryData(meQuery.queryKey, await post<Me>(apiPath('/auth/refresh', {})))
export const changeOwnPassword = (body: Body<'PasswordChange'>) =>
  post(apiPath('/auth/password', {}), body)
export const ownSignIns = queryOptions({
  queryKey: ['auth', 'sessions'],
  queryFn: ({ signal }) => get<Page<AuthSession>>(apiPath('/auth/sessions', {}), { signal }),
})
/** Every permission and which roles give it; it changes with the hub's version only. */
export const permissionsQuery = queryOptions({
  queryKey: ['permissions'],
  queryFn: ({ signal }) => get<Page<Permission>>(apiPath('/permissions', {}), { signal }),
  staleTime: Infinity,
})
export const endOwnSignIn = (id: string) => remove(apiPath('/auth/sessions/{id}', { id }))

// --- the launcher and sessions --------------------------------------------

/** The targets one may open. */
export const launchTargets = {
  list: (filters: Filters = {}) => listQuery<LaunchTarget>('launcher', '/targets', filters),
  one: (id: string) =>
    queryOptions({
      queryKey: ['launcher', 'one', id],
      queryFn: ({ signal }) => get<LaunchTarget>(apiPath('/targets/{id}', { id }), { signal }),
    }),
  setFavorite: async (id: string, favorite: boolean) => {
    const url = apiPath('/targets/{id}/favorite', { id })
    await (favorite ? put(url) : remove(url))
    await queryClient.invalidateQueries({ queryKey: ['launcher'] })
  },
}

export const sessions = {
  list: (filters: Filters = {}) => listQuery<Session>('sessions', '/sessions', filters),
  one: (id: string) =>
    queryOptions({
      queryKey: ['sessions', 'one', id],
      queryFn: ({ signal }) => get<Session>(apiPath('/sessions/{id}', { id }), { signal }),
    }),
  /** Who watched or joined it, as far as one may know. */
  participants: (id: string) =>
    queryOptions({
      queryKey: ['sessions', 'participants', id],
      queryFn: ({ signal }) => get<Page<Participant>>(apiPath('/sessions/{id}/participants', { id }), { signal }),
    }),
  terminate: async (id: string, reason: string) => {
    await post(apiPath('/sessions/{id}/terminate', { id }), { reason })
    await queryClient.invalidateQueries({ queryKey: ['sessions'] })
  },
}

const renewRecordings = async () => {
  await Promise.all([queryClient.invalidateQueries({ queryKey: ['recordings'] }), queryClient.invalidateQueries({ queryKey: ['ledger'] })])
}

/** States of recordings that a retention deletes, and how many pages of them are looked at to count. */
const RETAINED: ReadonlySet<string> = new Set(['complete', 'completed', 'empty'])
const MOST_RETENTION_PAGES = 10

export const recordings = {
  /** A session's recording and what its verification says by now: all segments are read in the background. */
  one: (id: string) =>
    queryOptions({
      queryKey: ['recordings', 'one', id],
      // Asked for often while it is verified: of a long one only what is new is read.
      queryFn: async ({ signal, queryKey }) => {
        const known = queryClient.getQueryData<Recording>(queryKey)
        const read = (segments_from: number) => get<Recording>(apiPath('/sessions/{id}/recording', { id }, { wait_seconds: 0, segments_from }), { signal })
        const from = askFrom(known)
        return withKnown(known, from, await read(from)) ?? (await read(0))
      },
      retry: false,
    }),
  /** How long it is kept, and what keeps it. */
  retention: (id: string) =>
    queryOptions({
      queryKey: ['recordings', 'retention', id],
      queryFn: ({ signal }) => get<RecordingRetention>(apiPath('/sessions/{id}/recording/retention', { id }), { signal }),
      retry: false,
    }),
  hold: async (id: string, reason: string) => {
    await post(apiPath('/sessions/{id}/recording/hold', { id }), { reason })
    await renewRecordings()
  },
  release: async (id: string) => {
    await remove(apiPath('/sessions/{id}/recording/hold', { id }))
    await renewRecordings()
  },
  purge: async (id: string, reason: string) => {
    const left = await removeWith<RecordingRetention>(apiPath('/sessions/{id}/recording', { id }), { reason })
    await renewRecordings()
    return left
  },
  /**
   * How many recordings a retention of so many days would delete now; `null` where there are too many to look at,
   * or one may not look.
   */
  olderThan: async (days: number): Promise<number | null> => {
    const before = Date.now() - days * 86_400_000
    let found = 0
    let cursor: string | null = null
    for (let page = 0; page < MOST_RETENTION_PAGES; page += 1) {
      const { items, next_cursor }: Page<RecordingSummary> = await get<Page<RecordingSummary>>(apiPath('/recordings', {}, { limit: 200, cursor }))
      found += items.filter(({ state, held, ended_at }) => RETAINED.has(state) && !held && ended_at && Date.parse(ended_at) < before).length
      if (next_cursor === null) return found
      cursor = next_cursor
    }
    return null
  },
  /** What a player begins with. Each call is a playing in the ledger. */
  play: async (id: string) => {
    const index = await get<PlayerIndex>(apiPath('/sessions/{id}/recording/player', { id }))
    void queryClient.invalidateQueries({ queryKey: ['ledger'] })
    return index
  },
  /** A segment, under the address that the list of segments gives. */
  segment: (url: string, signal?: AbortSignal) => get<PlayerSegment>(url, { signal }),
  /** Sessions whose recordings showed a text, newest first. Each page is a search in the ledger, so nothing repeats it by itself. */
  search: (filters: Filters & { q: string }) =>
    infiniteQueryOptions({
      queryKey: ['recordings', 'search', filters],
      queryFn: ({ pageParam, signal }) =>
        get<RecordingMatches>(apiPath('/recordings/search', {}, { ...filters, limit: 25, cursor: pageParam }), { signal }),
      initialPageParam: null as string | null,
      getNextPageParam: (page) => page.next_cursor,
      retry: false,
      staleTime: 60_000,
      refetchOnWindowFocus: false,
    }),
  /** Where one recording showed a text. A search in the ledger too. */
  searchWithin: (session_id: string, q: string) =>
    queryOptions({
      queryKey: ['recordings', 'search', session_id, q],
      queryFn: async ({ signal }) => {
        const { items } = await get<RecordingMatches>(apiPath('/recordings/search', {}, { session_id, q }), { signal })
        return { hits: items[0]?.hits ?? [], count: items[0]?.count ?? 0 }
      },
      retry: false,
      staleTime: 60_000,
      refetchOnWindowFocus: false,
    }),
  /** Where the browser downloads it from. Following it is an export in the ledger. */
  exportUrl: (id: string) => apiPath('/sessions/{id}/recording/export', { id }, { format: 'asciicast-v3' }),
}

export const ledger = {
  list: (filters: Filters = {}) => listQuery<LedgerEntry>('ledger', '/audit/entries', filters),
  /** How far it goes, and how far it is signed. */
  standing: queryOptions({
    queryKey: ['ledger', 'standing'],
    queryFn: ({ signal }) => get<LedgerStanding>(apiPath('/audit/ledger', {}), { signal }),
    refetchInterval: 10_000,
  }),
  /** Where an event stands in it; a moment after the event there is no place yet. */
  placeOf: (event_id: string) =>
    queryOptions({
      queryKey: ['ledger', 'place', event_id],
      queryFn: ({ signal }) => get<LedgerPlace>(apiPath('/audit/events/{event_id}/entry', { event_id }), { signal }),
      retry: 3,
    }),
  /** What was changed in the database in the same act: each row before and after. */
  changesOf: (event_id: string) =>
    queryOptions({
      queryKey: ['ledger', 'changes', event_id],
      queryFn: ({ signal }) => get<ActImages>(apiPath('/audit/events/{event_id}/changes', { event_id }), { signal }),
      // Nothing that is there can change.
      staleTime: Infinity,
    }),
  /** Where the browser downloads it from. Following it is an export in the ledger. */
  exportUrl: (format: 'jsonl' | 'csv', filters: Filters = {}) => apiPath('/audit/export', {}, { ...filters, format }),
}

// --- infrastructure -------------------------------------------------------

export const zones = resource<Zone, Body<'NewZone'>, Body<'ZoneChange'>>('zones', '/admin/zones')
export const sites = resource<Site, Body<'NewSite'>, Body<'SiteChange'>>('sites', '/admin/sites')

const targetCollection = resource<Target, Body<'NewTarget'>, Body<'TargetChange'>>('targets', '/admin/targets')
export const targets = {
  ...targetCollection,
  scan: (id: string) =>
    post<Scan>(apiPath('/admin/targets/{id}/scan', { id }), undefined, { timeout: TEST_TIMEOUT_MS }),
  trustKey: async (id: string, body: Body<'NewHostKey'>) => {
    const key = await post<HostKey>(apiPath('/admin/targets/{id}/host-keys', { id }), body)
    await targetCollection.renew()
    return key
  },
  distrustKey: async (id: string, key_id: string) => {
    await remove(apiPath('/admin/targets/{id}/host-keys/{key_id}', { id, key_id }))
    await targetCollection.renew()
  },
  test: (id: string, credential_id?: string) =>
    postTraced<ConnectionTest>(apiPath('/admin/targets/{id}/test', { id }), { credential_id }, { timeout: TEST_TIMEOUT_MS }),
}

/** What is written into the vault; it never comes back. */
export type SecretBody = Body<'Secret'>
export type CredentialBody = Body<'NewCredentialBody'>
const credentialCollection = resource<Credential, Body<'NewCredentialBody'>, Body<'CredentialChangeBody'>>('credentials', '/admin/credentials')
export const credentials = {
  ...credentialCollection,
  setSecret: async (id: string, secret: SecretBody) => {
    await put(apiPath('/admin/credentials/{id}/secret', { id }), secret)
    await credentialCollection.renew()
  },
  test: (id: string, target_id: string) =>
    postTraced<ConnectionTest>(apiPath('/admin/credentials/{id}/test', { id }), { target_id }, { timeout: TEST_TIMEOUT_MS }),
}

// --- people and machines --------------------------------------------------

const userCollection = resource<User, Body<'CreateUser'>, Body<'UpdateUser'>>('users', '/admin/users')
export const users = {
  ...userCollection,
  setPassword: (id: string, password: string) => post(apiPath('/admin/users/{id}/password', { id }), { password }),
  unlock: (id: string) => post(apiPath('/admin/users/{id}/unlock', { id })).then(userCollection.renew),
  signIns: (id: string) =>
    queryOptions({
      queryKey: ['users', 'sign-ins', id],
      queryFn: ({ signal }) => get<Page<AuthSession>>(apiPath('/admin/users/{id}/sessions', { id }), { signal }),
    }),
  endSignIn: (id: string, session: string) =>
    remove(apiPath('/admin/users/{id}/sessions/{session}', { id, session })).then(userCollection.renew),
  endAllSignIns: (id: string) => remove(apiPath('/admin/users/{id}/sessions', { id })).then(userCollection.renew),
}

const groupCollection = resource<Group, Body<'CreateGroup'>, Body<'UpdateGroup'>>('groups', '/admin/groups')
export const groups = {
  ...groupCollection,
  members: (id: string) => listQuery<GroupMember>('groups', `/admin/groups/${encodeURIComponent(id)}/members`),
  setMember: async (id: string, user_id: string, member: boolean) => {
    const url = apiPath('/admin/groups/{id}/members/{user_id}', { id, user_id })
    await (member ? put(url) : remove(url))
    await Promise.all([groupCollection.renew(), userCollection.renew()])
  },
}

const accountCollection = resource<ServiceAccount, Body<'CreateAccount'>, Body<'UpdateAccount'>>(
  'service-accounts',
  '/admin/service-accounts',
)
export const serviceAccounts = {
  ...accountCollection,
  tokens: (id: string) =>
    queryOptions({
      queryKey: ['service-accounts', 'tokens', id],
      queryFn: ({ signal }) => get<Page<ApiToken>>(apiPath('/admin/service-accounts/{id}/tokens', { id }), { signal }),
    }),
  createToken: async (id: string, body: Body<'CreateToken'>) => {
    const token = await post<FreshToken>(apiPath('/admin/service-accounts/{id}/tokens', { id }), body)
    await accountCollection.renew()
    return token
  },
  revokeToken: (id: string, token_id: string) =>
    remove(apiPath('/admin/service-accounts/{id}/tokens/{token_id}', { id, token_id })).then(accountCollection.renew),
}

/** What the hub offers to programs; it changes with the hub's version only. */
export const openApiQuery = queryOptions({
  queryKey: ['openapi'],
  queryFn: ({ signal }) => get<Record<string, unknown>>('/api/openapi.json', { signal }),
  staleTime: Infinity,
})

// --- events ---------------------------------------------------------------

export const events = {
  list: (filters: Filters = {}) => listQuery<PlatformEvent>('events', '/events', filters),
  one: (event_id: string) =>
    queryOptions({
      queryKey: ['events', 'one', event_id],
      queryFn: ({ signal }) => get<EventDetail>(apiPath('/events/{event_id}', { event_id }), { signal }),
    }),
  replay: async (event_id: string, everywhere: boolean) => {
    await post(apiPath('/events/{event_id}/replay', { event_id }), { everywhere })
    await queryClient.invalidateQueries({ queryKey: ['events'] })
  },
}
/** What the hub tells of; it changes with the hub's version only. */
export const eventTypes = queryOptions({
  queryKey: ['event-types'],
  queryFn: ({ signal }) => get<Page<EventType>>(apiPath('/events/types', {}), { signal }),
  staleTime: Infinity,
})

const webhookCollection = resource<Webhook, never, Body<'UpdateWebhook'>>('webhooks', '/admin/webhooks')
export const webhooks = {
  ...webhookCollection,
  create: async (body: Body<'CreateWebhook'>) => {
    const created = await post<CreatedWebhook>(apiPath('/admin/webhooks', {}), body)
    await webhookCollection.renew()
    return created
  },
  rotateSecret: (id: string) => post<WebhookSecret>(apiPath('/admin/webhooks/{id}/secret', { id })),
  test: (id: string) => post<WebhookTest>(apiPath('/admin/webhooks/{id}/test', { id }), undefined, { timeout: TEST_TIMEOUT_MS }),
  replay: async (id: string) => {
    const replayed = await post<WebhookReplay>(apiPath('/admin/webhooks/{id}/replay', { id }))
    await webhookCollection.renew()
    return replayed
  },
}

// --- the system -----------------------------------------------------------

export const settingsQuery = queryOptions({
  queryKey: ['settings'],
  queryFn: ({ signal }) => get<Settings>(apiPath('/admin/settings', {}), { signal }),
})
export type SettingsBody = Body<'SettingsChange'>
export const changeSettings = async (body: SettingsBody) => {
  const settings = await patch<Settings>(apiPath('/admin/settings', {}), body)
  queryClient.setQueryData(settingsQuery.queryKey, settings)
  return settings
}
export const systemQuery = queryOptions({
  queryKey: ['system'],
  queryFn: ({ signal }) => get<SystemStatus>(apiPath('/admin/system', {}), { signal }),
})
