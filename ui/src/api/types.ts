/**
 * The hub's resources, under the names the application uses. Everything that is
 * not in the OpenAPI document belongs elsewhere.
 */

/** A page of a list. */
export interface Page<Item> {
  items: Item[]
  next_cursor: string | null
}

export type Role = 'admin' | 'operator' | 'auditor'
export type ZoneType = 'hub' | 'satellite'
export type Environment = 'production' | 'staging' | 'development'
export type CredentialKind = 'password' | 'private_key' | 'ssh_ca'
export type HostKeyPolicy = 'pinned' | 'host_ca'
export type SessionStatus = 'active' | 'completed' | 'failed' | 'terminated'
export type Outcome = 'success' | 'denied' | 'failure'
export type Source = 'local' | 'oidc'

/** Something with an id and a name. */
export interface Named {
  id: string
  name: string
}

export interface Providers {
  tenant: string
  local: boolean
  oidc: { display_name: string; login_url: string } | null
}

export interface Me {
  user: { id: string; username: string; display_name: string | null; email: string | null; source: Source }
  tenant: { id: string; slug: string; name: string }
  roles: string[]
  permissions: string[]
  groups: Named[]
  auth_session: { id: string; created_at: string; expires_at: string; idle_expires_at: string }
  oidc_groups_overage: boolean
}

export interface AuthSession {
  id: string
  created_at: string
  last_seen_at: string
  expires_at: string
  client_ip: string | null
  user_agent: string | null
  current: boolean
}

export interface LaunchCredential {
  id: string
  name: string
  username: string
  kind: CredentialKind
}

export interface LaunchTarget {
  id: string
  name: string
  description: string | null
  protocol: string
  host: string
  port: number
  zone: { id: string; name: string; type: ZoneType }
  environment: Environment | null
  tags: string[]
  enabled: boolean
  favorite: boolean
  last_used_at: string | null
  reason_required: boolean
  credentials: LaunchCredential[]
}

export interface Session {
  id: string
  user_id: string
  user_name: string
  target_id: string
  target_name: string
  credential_id: string | null
  credential_name: string | null
  protocol: string
  status: SessionStatus
  start_time: string
  end_time: string | null
  bytes_sent: number
  bytes_received: number
  client_ip: string | null
  reason: string | null
  error_code: string | null
  error_message: string | null
  exit_status: number | null
  recording_path: string | null
  attached: boolean
}

export interface LedgerEntry {
  id: string
  occurred_at: string
  actor: { type: string; id: string | null; name: string | null }
  action: string
  outcome: Outcome
  object: { type: string; id: string | null; name: string | null } | null
  request_id: string | null
  client_ip: string | null
  detail: Record<string, unknown> | null
}

export interface Zone {
  id: string
  name: string
  description: string | null
  type: ZoneType
  site_id: string | null
  target_count: number
  created_at: string
  updated_at: string
}

export interface Site {
  id: string
  name: string
  code: string
  description: string | null
  created_at: string
  updated_at: string
}

export interface HostKey {
  id: string
  algorithm: string
  fingerprint: string
  kind: 'host' | 'ca'
  trusted_at: string
  trusted_by: string | null
}

export interface Target {
  id: string
  name: string
  description: string | null
  protocol: string
  host: string
  port: number
  zone_id: string
  environment: Environment | null
  tags: string[]
  enabled: boolean
  reason_required: boolean
  host_key_policy: HostKeyPolicy
  legacy_algorithms: boolean
  group_ids: string[]
  credential_ids: string[]
  host_keys: HostKey[]
  created_at: string
  updated_at: string
}

export interface ScannedKey {
  algorithm: string
  fingerprint: string
  public_key: string
  trusted: boolean
}

export interface Scan {
  keys: ScannedKey[]
  server_version: string | null
  elapsed_ms: number
}

export interface TestStage {
  stage: string
  ok: boolean
  code?: string | null
  message: string
  elapsed_ms: number
}

export interface ConnectionTest {
  ok: boolean
  stages: TestStage[]
}

export interface Credential {
  id: string
  name: string
  description: string | null
  kind: CredentialKind
  username: string
  vault_path: string | null
  vault_version: number | null
  ssh_role: string | null
  managed: boolean
  target_count: number
  created_at: string
  updated_at: string
}

export interface User {
  id: string
  username: string
  display_name: string | null
  email: string | null
  source: Source
  enabled: boolean
  roles: string[]
  effective_roles: string[]
  group_ids: string[]
  last_login_at: string | null
  created_at: string
}

export interface Group {
  id: string
  name: string
  description: string | null
  source: Source
  external_id: string | null
  roles: string[]
  member_count: number
}

/** A member as the group's list shows it. */
export type GroupMember = Pick<User, 'id' | 'username' | 'display_name'> & Partial<User>

export interface ServiceAccount {
  id: string
  name: string
  description: string | null
  enabled: boolean
  roles: string[]
  created_at: string
}

export interface ApiToken {
  id: string
  name: string
  scopes: string[]
  expires_at: string | null
  last_used_at: string | null
  created_at: string
  prefix: string
}

export interface Settings {
  terminal: { idle_timeout_seconds: number; max_duration_seconds: number; resume_grace_seconds: number }
  clipboard_write: boolean
  require_reason: boolean
  motd: string | null
}

export interface SystemStatus {
  version: string
  hubs: { id: string; started_at: string; last_seen_at: string; address: string | null; active_sessions: number }[]
  database: { ok: boolean; detail?: string | null }
  vault: { ok: boolean; state: string; detail: string | null }
}

/** What `/readyz` answers, ready or not. */
export interface Readiness {
  ready: boolean
  ending: boolean
  database: { ok: boolean; state: string }
  vault: { ok: boolean; state: string }
}

/** Any small JSON object of the person's own; never a secret. */
export type Preferences = Record<string, unknown>
