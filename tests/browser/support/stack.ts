/** The development stack's servers, as `deploy/dev status --json` describes them. */
import { readFileSync } from 'node:fs'

export interface StackUser {
  username: string
  password: string
  role: string
  login: 'local' | 'oidc'
}

export interface SshServer {
  host: string
  port: number
  username: string
  password_file?: string
  host_keys: Record<string, string>
}

export interface Stack {
  url: string
  tenant: string
  users: StackUser[]
  targets: { id: string; name: string; credential_id: string }[]
  servers: {
    hub: { binary: string }
    postgres: {
      host: string
      port: number
      owner_role: string
      owner_password_file: string
      app_role: string
      app_password_file: string
    }
    openbao: {
      address: string
      admin_token: string
      pid: number
      approle_mount: string
      approle_role: string
      kv_mount: string
      kv_prefix: string
      ssh_mount: string
      ssh_role: string
    }
    oidc: {
      issuer: string
      tenant_id: string
      client_id: string
      client_secret_file: string
      groups: Record<string, string>
      control_url: string
      control_token_file: string
    }
    ssh: [SshServer, SshServer]
  }
}

export interface Environment {
  stackFile: string
  chromium: string
  artifacts: string
}

/** What the suite is told from outside; says how to run it when it is not. */
export function environment(): Environment {
  const read = (name: string) => {
    const value = process.env[name]
    if (!value) {
      throw new Error(
        `${name} is not set: these tests need the development stack. Run \`deploy/dev test browser\`, or ` +
          '`deploy/dev up` and `deploy/dev status --json > FILE`, then npm test with OPENPAM_TEST_STACK=FILE, ' +
          'OPENPAM_TEST_CHROMIUM and OPENPAM_TEST_ARTIFACTS.',
      )
    }
    return value
  }
  return {
    stackFile: read('OPENPAM_TEST_STACK'),
    chromium: read('OPENPAM_TEST_CHROMIUM'),
    artifacts: read('OPENPAM_TEST_ARTIFACTS'),
  }
}

export const stack: Stack = JSON.parse(readFileSync(environment().stackFile, 'utf8')) as Stack

export const readTrimmed = (file: string): string => readFileSync(file, 'utf8').trim()

/** Who may sign in at the provider, or has a local account of the stack's own hub. */
export function stackUser(username: string, login: 'local' | 'oidc'): StackUser {
  const found = stack.users.find((user) => user.username === username && user.login === login)
  if (!found) throw new Error(`the stack has no ${login} user ${username}`)
  return found
}

let count = 0
/** A name that nothing else of this run has. */
export const unique = (prefix: string): string => {
  count += 1
  return `${prefix}-${process.pid.toString(36)}${Date.now().toString(36).slice(-5)}${count}`
}
