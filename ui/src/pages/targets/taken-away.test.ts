import { expect, test } from 'vitest'
import type { Session, User } from '@/api/types'
import { endsBy } from './taken-away'

const session = (user_id: string, credential_id: string | null = 'c1') => ({ user_id, credential_id }) as Session
const person = (id: string, group_ids: string[], effective_roles: string[] = []) => ({ id, group_ids, effective_roles }) as unknown as User
const before = { group_ids: ['g1', 'g2'], credential_ids: ['c1', 'c2'], enabled: true }
const people = [person('only', ['g1']), person('both', ['g1', 'g2']), person('boss', [], ['admin'])]

test('a group that is taken away ends the sessions of those whom only it let in', () => {
  const ends = endsBy(before, { ...before, group_ids: ['g2'] }, people)
  expect(['only', 'both', 'boss', 'unknown'].map((id) => ends(session(id)))).toEqual([true, false, false, true])
})

test('a credential that is taken away ends the sessions that logged in with it, whoever has them', () => {
  const ends = endsBy(before, { ...before, credential_ids: ['c2'] }, people)
  expect([ends(session('boss', 'c1')), ends(session('only', 'c2')), ends(session('only', null))]).toEqual([true, false, false])
})

test('switching off ends them all', () => {
  expect(endsBy(before, { ...before, enabled: false }, people)(session('boss', 'c2'))).toBe(true)
})
