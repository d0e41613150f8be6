/** What an entry of the ledger says, made ready for reading: what was changed, and everything else as rows. */
import type { LedgerEntry, RowImages } from '@/api/types'
import { roleName } from './access'
import { formatBytes, formatDuration, formatExact } from './format'
import { sentence } from './words'

/** One field that was changed. */
export interface Change {
  field: string
  before: unknown
  after: unknown
}

/** One other detail. */
export interface Detail {
  key: string
  label: string
  value: unknown
}

const LABELS: Record<string, string> = {
  address: 'Address',
  address_changed: 'Address changed',
  auth_session_id: 'Sign-in',
  auth_session_ids: 'Sign-ins',
  bytes_received: 'Received',
  bytes_sent: 'Sent',
  clipboard_write: 'Programs may write the clipboard',
  code: 'Code',
  credential_id: 'Credential',
  credential_ids: 'Credentials',
  decided_by: 'Allowed by',
  decision_id: 'Decision',
  description: 'Description',
  display_name: 'Name',
  email: 'E-mail',
  expires_at: 'Expires',
  groups_added: 'Groups that got access',
  groups_removed: 'Groups that lost access',
  had_failures: 'Had failed sign-ins',
  held_by: 'Held by',
  held_since: 'Held since',
  host_key_policy: 'Host keys',
  idle_timeout_seconds: 'Idle time',
  legacy_algorithms: 'Old algorithms',
  locked_until: 'Was locked until',
  max_duration_seconds: 'Longest session',
  message: 'Message',
  motd: 'Message of the day',
  preflight: 'Asked beforehand',
  query: 'Searched for',
  reason: 'Reason',
  reason_required: 'Asks for a reason',
  recording_required: 'Must be recorded',
  recording_retention_days: 'Recordings kept for (days)',
  require_reason: 'Every session needs a reason',
  resume_grace_seconds: 'Time to come back',
  root: 'Root of the recording',
  seconds: 'Took',
  sign_ins_ended: 'Sign-ins ended',
  stored_bytes: 'Stored',
  user_id: 'User id',
  username: 'User name',
  watch_visible: 'Watching is shown',
}

/** What is read first: why, and what went wrong. */
const FIRST = ['reason', 'message', 'code', 'stage', 'cause', 'decided_by']

/** Before `changes` there were pairs beside the other details, and only of targets. */
const OF_TARGETS = new Set(['name', 'address', 'zone_id', 'enabled', 'reason_required', 'host_key_policy', 'legacy_algorithms'])

const isPair = (value: unknown): value is [unknown, unknown] => Array.isArray(value) && value.length === 2
const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

const isOldPair = ({ action }: LedgerEntry, key: string, value: unknown) => action === 'target.update' && OF_TARGETS.has(key) && isPair(value)

/** What a field of the ledger is called in front of people. */
export const fieldLabel = (field: string): string => LABELS[field] ?? sentence(field)

/** What the entry says was changed. */
export function changedFields(entry: LedgerEntry): Change[] {
  const detail = entry.detail ?? {}
  const told = isRecord(detail.changes) ? Object.entries(detail.changes) : []
  const old = Object.entries(detail).filter(([key, value]) => isOldPair(entry, key, value))
  return [...told, ...old].flatMap(([field, value]) => (isPair(value) ? [{ field, before: value[0], after: value[1] }] : []))
}

/** What makes no difference to who reads a row: when it was touched, whose it is. */
const UNTOLD = new Set(['tenant_id', 'created_at', 'updated_at'])

/** The fields of a row that a change made others; of a new row, or one that was removed, those with a value. */
export function imageChanges({ before, after }: Pick<RowImages, 'before' | 'after'>): Change[] {
  const fields = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])].filter((field) => !UNTOLD.has(field))
  return fields
    .map((field) => ({ field, before: before?.[field] ?? null, after: after?.[field] ?? null }))
    .filter((change) => JSON.stringify(change.before) !== JSON.stringify(change.after))
    .toSorted((a, b) => a.field.localeCompare(b.field))
}

const place = (key: string) => (FIRST.includes(key) ? FIRST.indexOf(key) : FIRST.length)

/** Everything else it says, the reason first; what has no value is left out. */
export function detailsOf(entry: LedgerEntry): Detail[] {
  return Object.entries(entry.detail ?? {})
    .filter(([key, value]) => value !== null && value !== '' && !isOldPair(entry, key, value) && !(key === 'changes' && isRecord(value)))
    .map(([key, value]) => ({ key, label: fieldLabel(key), value }))
    .toSorted((a, b) => place(a.key) - place(b.key))
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/
const DECIDED_BY: Record<string, string> = { role: 'Their role', access_group: 'A group of theirs' }

/** A value as a person would write it; `null` where there is none. */
export function valueText(key: string, value: unknown): string | null {
  if (value === null || value === undefined || value === '') return null
  if (typeof value === 'boolean') return value ? 'Yes' : 'No'
  if (typeof value === 'number') {
    if (key.includes('bytes')) return formatBytes(value)
    if (/(^|_)seconds$/.test(key)) return formatDuration(value)
    return value.toLocaleString('en')
  }
  if (typeof value === 'string') {
    if (key === 'decided_by') return DECIDED_BY[value] ?? value
    if (key === 'roles') return roleName(value)
    return TIME.test(value) ? formatExact(value) : value
  }
  if (Array.isArray(value)) return value.length === 0 ? null : value.map((item) => valueText(key, item) ?? '–').join(', ')
  return JSON.stringify(value)
}
