/** A hub of the suite's own with an administrator, and what a test puts into it through the hub's interface. */
import { Api } from './api.ts'
import { type HubOptions, OwnHub } from './own-hub.ts'
import { readTrimmed, type SshServer, stack, unique } from './stack.ts'

export interface Person {
  id: string
  username: string
  password: string
  api: Api
}

export interface Target {
  id: string
  name: string
  credentialId: string
}

interface TargetWish {
  name?: string
  host?: string
  port?: number
  environment?: 'production' | 'staging' | 'development'
  tags?: string[]
  reason_required?: boolean
  enabled?: boolean
  zoneId?: string
  credentialIds?: string[]
  /** Whether the host keys are scanned and trusted; by default where a server is there. */
  trust?: boolean
}

const passwordServer = stack.servers.ssh[0]

export class World {
  readonly hub: OwnHub
  readonly admin: Api
  #zone: string | null = null
  #credential: string | null = null

  private constructor(hub: OwnHub) {
    this.hub = hub
    this.admin = new Api(hub.url)
  }

  static async start(options?: HubOptions): Promise<World> {
    const world = new World(await OwnHub.start(options))
    await world.admin.signIn(world.hub.tenant, 'admin', world.hub.adminPassword)
    return world
  }

  get url(): string {
    return this.hub.url
  }

  /** The server that takes passwords. */
  get passwordServer(): SshServer {
    return passwordServer
  }

  async zone(name?: string): Promise<string> {
    if (!name && this.#zone) return this.#zone
    const { id } = await this.admin.post<{ id: string }>('/admin/zones', { name: name ?? unique('zone'), type: 'hub' })
    if (!name) this.#zone = id
    return id
  }

  async group(externalId?: string): Promise<string> {
    const body = externalId
      ? { name: unique('directory'), source: 'oidc', external_id: externalId }
      : { name: unique('group') }
    return (await this.admin.post<{ id: string }>('/admin/groups', body)).id
  }

  async person(groupIds: string[], roles: string[] = []): Promise<Person> {
    const username = unique('person')
    const password = unique('person-password')
    const { id } = await this.admin.post<{ id: string }>('/admin/users', {
      username,
      password,
      display_name: 'Robin Reed',
      roles,
      group_ids: groupIds,
    })
    const api = await new Api(this.url).signIn(this.hub.tenant, username, password)
    return { id, username, password, api }
  }

  async passwordCredential(password?: string, name = unique('password')): Promise<string> {
    const { id } = await this.admin.post<{ id: string }>('/admin/credentials', {
      name,
      kind: 'password',
      username: passwordServer.username,
      secret: { password: password ?? readTrimmed(passwordServer.password_file ?? '') },
    })
    return id
  }

  /** The right password of the first SSH server, once for the world. */
  async goodCredential(): Promise<string> {
    this.#credential ??= await this.passwordCredential()
    return this.#credential
  }

  /** A target open to a group: the stack's password server unless the wish says otherwise. */
  async target(groupId: string, wish: TargetWish = {}): Promise<Target> {
    const { zoneId, credentialIds, trust = wish.host === undefined && wish.port === undefined, ...body } = wish
    const credential_ids = credentialIds ?? [await this.goodCredential()]
    const name = wish.name ?? unique('target')
    const { id } = await this.admin.post<{ id: string }>('/admin/targets', {
      protocol: 'ssh',
      host: passwordServer.host,
      port: passwordServer.port,
      enabled: true,
      ...body,
      name,
      zone_id: zoneId ?? (await this.zone()),
      group_ids: [groupId],
      credential_ids,
    })
    if (trust) await this.trustHostKeys(id)
    return { id, name, credentialId: credential_ids[0] ?? '' }
  }

  /** Scans and trusts, as an administrator does in the console. */
  async trustHostKeys(targetId: string): Promise<void> {
    const { keys } = await this.admin.post<{ keys: { public_key: string }[] }>(`/admin/targets/${targetId}/scan`)
    for (const { public_key } of keys) {
      await this.admin.post(`/admin/targets/${targetId}/host-keys`, { public_key, kind: 'host' })
    }
  }

  /** A person with one target. */
  async personWithTarget(wish: TargetWish = {}): Promise<{ person: Person; target: Target; groupId: string }> {
    const groupId = await this.group()
    const [person, target] = await Promise.all([this.person([groupId]), this.target(groupId, wish)])
    return { person, target, groupId }
  }

  session<T = { status: string; reason: string | null; error_code: string | null }>(id: string): Promise<T> {
    return this.admin.get<T>(`/sessions/${id}`)
  }
}
