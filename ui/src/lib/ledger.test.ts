import { describe, expect, it } from 'vitest'
import type { LedgerEntry } from '@/api/types'
import { changedFields, detailsOf, fieldLabel, imageChanges, valueText } from './ledger'

const entry = (action: string, detail: Record<string, unknown>) => ({ action, detail }) as unknown as LedgerEntry

describe('what an entry says was changed', () => {
  it('is read from its changes', () => {
    const changed = entry('user.update', { changes: { enabled: [true, false], roles: [['auditor'], []] }, sign_ins_ended: 2 })
    expect(changedFields(changed)).toEqual([
      { field: 'enabled', before: true, after: false },
      { field: 'roles', before: ['auditor'], after: [] },
    ])
    expect(detailsOf(changed)).toEqual([{ key: 'sign_ins_ended', label: 'Sign-ins ended', value: 2 }])
  })
  it('is read from pairs, as targets had them before', () => {
    const changed = entry('target.update', { address_changed: true, address: ['a:22', 'b:22'], groups_added: ['one', 'two'] })
    expect(changedFields(changed)).toEqual([{ field: 'address', before: 'a:22', after: 'b:22' }])
    expect(detailsOf(changed).map(({ key }) => key)).toEqual(['address_changed', 'groups_added'])
  })
  it('is nothing where a list has two items by chance', () => {
    const made = entry('user.create', { roles: ['admin', 'auditor'] })
    expect(changedFields(made)).toEqual([])
    expect(detailsOf(made)).toHaveLength(1)
  })
})

describe('images of a row', () => {
  const row = { user_id: '1', tenant_id: 't', name: 'Ada', roles: ['auditor'], email: null, updated_at: 'a' }
  it('tell the fields that are others, and not when', () =>
    expect(imageChanges({ before: row, after: { ...row, name: 'Grace', roles: ['auditor'], updated_at: 'b' } })).toEqual([
      { field: 'name', before: 'Ada', after: 'Grace' },
    ]))
  it('tell a new row by what it has, and one that was removed by what it had', () => {
    expect(imageChanges({ before: null, after: row }).map(({ field }) => field)).toEqual(['name', 'roles', 'user_id'])
    expect(imageChanges({ before: row, after: null })).toContainEqual({ field: 'name', before: 'Ada', after: null })
  })
  it('are nothing where they were erased', () => expect(imageChanges({ before: null, after: null })).toEqual([]))
})

describe('the details of an entry', () => {
  it('begin with the reason, and leave out what has no value', () => {
    const ended = entry('session.end', { bytes_sent: 2048, code: 'idle', ssh_role: null, message: '', reason: 'case 4711' })
    expect(detailsOf(ended).map(({ key }) => key)).toEqual(['reason', 'code', 'bytes_sent'])
  })
  it('keep what is called changes and is none', () => expect(detailsOf(entry('x', { changes: 3 }))).toHaveLength(1))
  it('are none without detail', () => expect(detailsOf({ action: 'x', detail: null } as unknown as LedgerEntry)).toEqual([]))
})

describe('values', () => {
  it('are written for people', () => {
    expect(valueText('bytes_sent', 2048)).toBe('2.0 KiB')
    expect(valueText('idle_timeout_seconds', 1800)).toBe('30 min')
    expect(valueText('segments', 12_000)).toBe('12,000')
    expect(valueText('enabled', false)).toBe('No')
    expect(valueText('roles', ['admin', 'auditor'])).toBe('Administrator, Auditor')
    expect(valueText('decided_by', 'role')).toBe('Their role')
    expect(valueText('expires_at', '2026-11-28T10:00:00Z')).toContain('28 Nov 2026')
    expect(valueText('filter', { a: 1 })).toBe('{"a":1}')
  })
  it('are none where there is nothing', () => expect([null, undefined, '', []].map((value) => valueText('x', value))).toEqual([null, null, null, null]))
})

describe('labels', () => {
  it('are words for what is known, and the name in words for what is not', () => {
    expect(fieldLabel('had_failures')).toBe('Had failed sign-ins')
    expect(fieldLabel('some_new_field')).toBe('Some new field')
  })
})
