import { describe, expect, it } from 'vitest'
import type { Me } from '@/api/types'
import { navigationFor, needOf } from '@/layout/navigation'
import { changesOf } from './changes'
import { formatRelative } from './format'
import { isNear, signInEnd, wantsRenewal } from './sign-in-end'
import { actionName, fieldSentence } from './words'

const at = (minutes: number) => Date.UTC(2026, 0, 1, 12, minutes)

const session = (idle: number, absolute: number) => ({
  id: '1',
  created_at: new Date(at(0)).toISOString(),
  idle_expires_at: new Date(at(idle)).toISOString(),
  expires_at: new Date(at(absolute)).toISOString(),
})

describe('what a page asks for', () => {
  it.each([
    ['/', 'anyone'],
    ['/profile', 'anyone'],
    ['/terminal', 'anyone'],
    ['/targets', 'see-infrastructure'],
    ['/targets/01a2', 'see-infrastructure'],
    ['/users/01a2', 'see-people'],
    ['/sessions', 'see-sessions'],
    ['/sessions/01a2', 'anyone'],
    ['/setup', 'administer'],
    ['/ledger', 'see-ledger'],
    ['/targetsandmore', 'anyone'],
  ])('%s: %s', (path, need) => expect(needOf(path)).toBe(need))

  it('is what the navigation shows it for', () => {
    const me = { permissions: ['infrastructure.read'] } as unknown as Me
    const shown = navigationFor(me).flatMap(({ items }) => items.map(({ to }) => to as string))
    expect(shown).toContain('/targets')
    expect(shown.filter((to) => !['anyone', 'see-infrastructure'].includes(needOf(to)))).toEqual([])
  })
})

describe('changesOf', () => {
  it('leaves out what is as it was', () => {
    const before = { id: '1', name: 'web', tags: ['a'], enabled: true, zone: null }
    expect(changesOf(before, { name: 'web', tags: ['a', 'b'], enabled: true, zone: null })).toEqual({ tags: ['a', 'b'] })
  })
  it('sends what the hub never tells', () => {
    expect(changesOf({ name: 'root' }, { name: 'root', secret: { password: 'x' } })).toEqual({ secret: { password: 'x' } })
  })
})

describe('the end of a sign-in', () => {
  it('by idleness moves with each request, a minute less than it may', () => {
    expect(signInEnd(session(30, 600), at(0), at(0))).toEqual({ at: at(30), why: 'idle' })
    expect(signInEnd(session(30, 600), at(0), at(10))).toEqual({ at: at(39), why: 'idle' })
  })
  it('is never past the absolute one', () => {
    expect(signInEnd(session(30, 35), at(0), at(20))).toEqual({ at: at(35), why: 'absolute' })
  })
  it('is put off for who works without asking for anything, not for who is away', () => {
    const renew = (input: number, now: number, asked = 0) => wantsRenewal(session(30, 600), at(0), at(asked), at(input), at(now))
    expect(renew(14, 14)).toBe(false)
    expect(renew(16, 16)).toBe(true)
    expect(renew(10, 16)).toBe(false)
    expect(renew(15, 16, 16), 'a request kept it already').toBe(false)
    expect(wantsRenewal(session(600, 600), at(0), at(0), at(599), at(599)), 'nothing moves the absolute end').toBe(false)
  })
  it('is told in time', () => {
    expect(isNear({ at: at(30), why: 'idle' }, at(26))).toBe(false)
    expect(isNear({ at: at(30), why: 'idle' }, at(27))).toBe(true)
    expect(isNear({ at: at(30), why: 'absolute' }, at(16))).toBe(true)
  })
})

describe('words', () => {
  it('make a sentence of what the hub says about a field', () => {
    expect(fieldSentence('must not be empty')).toBe('It must not be empty.')
    expect(fieldSentence('does not open the private key')).toBe('It does not open the private key.')
    expect(fieldSentence('another group has this directory id')).toBe('Another group has this directory id.')
    expect(fieldSentence('Another zone has this name. Choose a different one.')).toBe('Another zone has this name. Choose a different one.')
  })
  it('tell what an entry is about, refused or not', () => {
    expect(actionName('session.authorize', 'success')).toBe('Connection allowed')
    expect(actionName('session.authorize', 'denied')).toBe('Connection denied')
    expect(actionName('brand.new_thing', 'success')).toBe('Brand new thing')
  })
  it('call what has just happened so, though the page’s clock stands still for ten seconds', () => {
    const now = Date.UTC(2026, 0, 1)
    expect(formatRelative(new Date(now + 12_000).toISOString(), now)).toBe('just now')
    expect(formatRelative(new Date(now + 30_000).toISOString(), now)).toBe('in a moment')
  })
})
