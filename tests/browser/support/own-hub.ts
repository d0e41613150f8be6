/** The real binary with a database and a configuration of its own, behind a proxy that can cut what passes. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { closedPort, FaultProxy } from './proxy.ts'
import { readTrimmed, stack, unique } from './stack.ts'
import { eventually } from './wait.ts'

const run = promisify(execFile)
const { postgres, openbao, oidc, hub } = stack.servers

/** One statement as the database's owner. The password travels in the environment, not in an argument. */
async function sql(statement: string, database = 'postgres'): Promise<void> {
  const where = ['-h', postgres.host, '-p', String(postgres.port), '-U', postgres.owner_role, '-d', database]
  await run('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', ...where, '-c', statement], {
    env: { ...process.env, PGPASSWORD: readTrimmed(postgres.owner_password_file) },
  })
}

/** One request to OpenBao as its administrator. */
async function vault<T>(method: string, path: string, wrap?: string): Promise<T> {
  const answer = await fetch(`${openbao.address}/v1/${path}`, {
    method,
    headers: { 'x-vault-token': openbao.admin_token, ...(wrap ? { 'x-vault-wrap-ttl': wrap } : {}) },
    body: method === 'POST' ? '{}' : undefined,
  })
  if (!answer.ok) throw new Error(`OpenBao answered ${method} ${path} with ${answer.status}: ${await answer.text()}`)
  return (await answer.json()) as T
}

/** What differs from the configuration most tests start with. */
export interface HubOptions {
  /** `[terminal]` keys. */
  terminal?: Record<string, number>
  /** `[identity]` keys. */
  identity?: Record<string, number>
  /** `[recording]` keys. */
  recording?: Record<string, number>
  /** `[events]` keys. */
  events?: Record<string, number>
  /** The issuer, when it is not the stack's own. */
  issuer?: string
}

export class OwnHub {
  readonly tenant = unique('t')
  readonly adminPassword = unique('admin-password')
  readonly #folder = mkdtempSync(join(tmpdir(), 'openpam-browser-'))
  readonly #database = unique('openpam_browser').replaceAll('-', '_')
  readonly #log: string[] = []
  readonly front: FaultProxy
  readonly vault: FaultProxy
  readonly #port: number
  #child: ChildProcess | null = null

  private constructor(front: FaultProxy, vaultProxy: FaultProxy, port: number) {
    this.front = front
    this.vault = vaultProxy
    this.#port = port
  }

  static async start(options: HubOptions = {}): Promise<OwnHub> {
    const port = await closedPort()
    const own = new OwnHub(await FaultProxy.start('127.0.0.1', port), await FaultProxy.inFrontOf(openbao.address), port)
    await sql(`create database ${own.#database}`)
    await own.#configure(options)
    await own.#command(['migrate'])
    await own.#command(
      ['admin', 'create', '--tenant', own.tenant, '--tenant-name', 'Test', '--username', 'admin', '--password-file', '-'],
      own.adminPassword,
    )
    await own.startAgain()
    return own
  }

  /** Where browsers reach it: through the proxy. */
  get url(): string {
    return this.front.url
  }

  /** Where it keeps recordings. */
  get recordings(): string {
    return join(this.#folder, 'recordings')
  }

  get log(): string {
    return this.#log.join('')
  }

  /** Starts the process; the vault's secret id works once, so there is a fresh one each time. */
  async startAgain(): Promise<void> {
    const role = `auth/${openbao.approle_mount}/role/${openbao.approle_role}`
    const wrapped = await vault<{ wrap_info: { token: string } }>('POST', `${role}/secret-id`, '300s')
    writeFileSync(join(this.#folder, 'wrapped_secret_id'), wrapped.wrap_info.token, { mode: 0o600 })
    const { PATH, HOME, TMPDIR, LANG } = process.env
    const child = spawn(hub.binary, ['hub', '--config', join(this.#folder, 'hub.toml')], {
      env: { PATH, HOME, TMPDIR, LANG },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data: Buffer) => this.#log.push(data.toString()))
    await eventually(
      'the hub is ready',
      async () => {
        if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}:\n${this.log.slice(-4000)}`)
        return (await fetch(`http://127.0.0.1:${this.#port}/readyz`).catch(() => null))?.ok
      },
      30_000,
    )
  }

  /** Ends the process: softly, or as `kill -9` does. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await ended
  }

  async stop(): Promise<void> {
    await this.end('SIGKILL')
    await Promise.all([this.front.stop(), this.vault.stop()])
    await sql(`drop database if exists ${this.#database} with (force)`)
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #command(args: string[], input?: string): Promise<void> {
    const child = run(hub.binary, [...args, '--config', join(this.#folder, 'hub.toml')])
    child.child.stdin?.end(input ?? '')
    await child
  }

  async #configure({ terminal, identity, recording, events, issuer }: HubOptions): Promise<void> {
    const lines = (keys: Record<string, number>) => Object.entries(keys).map(([key, value]) => `${key} = ${value}`).join('\n')
    const role = await vault<{ data: { role_id: string } }>(
      'GET',
      `auth/${openbao.approle_mount}/role/${openbao.approle_role}/role-id`,
    )
    const database = (user: string) => `postgres://${user}@${postgres.host}:${postgres.port}/${this.#database}`
    writeFileSync(
      join(this.#folder, 'hub.toml'),
      `[server]
listen = "127.0.0.1:${this.#port}"
public_url = "${this.url}"
shutdown_grace_seconds = 2

[database]
url = "${database(postgres.app_role)}"
password_file = "${postgres.app_password_file}"
owner_url = "${database(postgres.owner_role)}"
owner_password_file = "${postgres.owner_password_file}"

[log]
format = "json"

[vault]
address = "${this.vault.url}"
approle_mount = "${openbao.approle_mount}"
kv_mount = "${openbao.kv_mount}"
ssh_mount = "${openbao.ssh_mount}"
kv_prefix = "${openbao.kv_prefix}"
role_id = "${role.data.role_id}"
wrapped_secret_id_file = "${join(this.#folder, 'wrapped_secret_id')}"
request_timeout_seconds = 2

[vault.ssh_roles]
${this.tenant} = ["${openbao.ssh_role}"]

[identity]
${lines({ login_attempts_per_ip_per_minute: 10_000, ...identity })}

[recording]
directory = "${join(this.#folder, 'recordings')}"
${lines({ ...recording })}

[terminal]
${lines({ connect_timeout_seconds: 2, ...terminal })}

[events]
webhook_loopback = true
${lines({ ...events })}

[oidc]
tenant = "${this.tenant}"
display_name = "Entra ID"
issuer = "${issuer ?? oidc.issuer}"
client_id = "${oidc.client_id}"
client_secret_file = "${oidc.client_secret_file}"
allowed_tids = ["${oidc.tenant_id}"]
scopes = ["openid", "profile", "email", "offline_access"]

[oidc.group_roles]
"${oidc.groups.admins}" = ["admin"]
"${oidc.groups.operators}" = ["operator"]
"${oidc.groups.auditors}" = ["auditor"]
`,
      { mode: 0o600 },
    )
  }
}
