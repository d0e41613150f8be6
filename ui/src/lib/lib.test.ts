import { describe, expect, it } from 'vitest'
import { count, formatAddress, formatBytes, formatClock, formatDuration, formatRelative, initials } from './format'
import { choiceParam, flagParam, returnPath, textParam } from './search'
import { actorName, sentence, signInProblem } from './words'

describe('returnPath', () => {
  it('keeps a place of this application', () => expect(returnPath('/targets?q=web#x')).toBe('/targets?q=web#x'))
  it.each(['https://evil.example', '//evil.example', '/\\evil.example', '/\t/evil.example', '/..//evil.example', 'javascript:alert(1)', '', 7, undefined, '/login?return_to=/', `/${'a'.repeat(2001)}`])(
    'drops %j',
    (value) => expect(returnPath(value)).toBeUndefined(),
  )
})

describe('search parameters', () => {
  it('drop what does not fit', () => {
    expect(choiceParam({ sort: 'sideways' }, 'sort', ['name', 'recent'])).toBeUndefined()
    expect(choiceParam({ sort: 'name' }, 'sort', ['name', 'recent'])).toBe('name')
    expect(flagParam({ favorite: 'yes' }, 'favorite')).toBeUndefined()
    expect(flagParam({ favorite: true }, 'favorite')).toBe(true)
    expect(textParam({ q: ['a'] }, 'q')).toBeUndefined()
    expect(textParam({ q: 'x'.repeat(400) }, 'q')).toHaveLength(300)
    expect(textParam({ q: 42 }, 'q')).toBe('42')
  })
})

describe('formats', () => {
  it('write durations with at most two units', () => {
    expect([0, 59, 60, 3600, 7500, 97_200, -1].map(formatDuration)).toEqual(['0 s', '59 s', '1 min', '1 h', '2 h 5 min', '1 d 3 h', '–'])
  })
  it('write bytes', () => expect([0, 1023, 1024, 15_000, 1_048_576, 5e9].map(formatBytes)).toEqual(['0 B', '1023 B', '1.0 KiB', '15 KiB', '1.0 MiB', '4.7 GiB']))
  it('write times relative to now', () => {
    const now = Date.parse('2026-01-01T12:00:00Z')
    expect(formatRelative('2026-01-01T11:59:50Z', now)).toBe('just now')
    expect(formatRelative('2026-01-01T11:57:00Z', now)).toMatch(/^3 min\.? ago$/)
    expect(formatRelative('2026-01-01T14:00:00Z', now)).toMatch(/^in 2 hr\.?$/)
    expect(formatRelative('nonsense', now)).toBe('–')
  })
  it('say long times by the nearest unit', () => {
    const now = Date.parse('2026-01-01T12:00:00Z')
    const inDays = (days: number) => formatRelative(new Date(now + days * 86_400_000 - 60_000).toISOString(), now)
    expect(inDays(90)).toMatch(/^in 3 mo\.?$/)
    expect(inDays(30)).toMatch(/^in 4 wk\.?$/)
    expect(inDays(365)).toMatch(/^in 12 mo\.?$/)
    expect(inDays(7)).toBe('in 6 days')
  })
  it('write the time of day, and the day where it is another one', () => {
    const now = new Date(2026, 0, 2, 12).getTime()
    expect(formatClock(new Date(2026, 0, 2, 12, 45).toISOString(), now)).toBe('12:45')
    expect(formatClock(new Date(2026, 0, 3, 0, 5).toISOString(), now)).toMatch(/03 Jan,? 00:05/)
  })
  it('write IPv6 addresses with brackets', () => {
    expect(formatAddress('2001:db8::1', 22)).toBe('[2001:db8::1]:22')
    expect(formatAddress('web', 22)).toBe('web:22')
  })
  it('count and abbreviate', () => {
    expect([count(1, 'target'), count(1200, 'target')]).toEqual(['1 target', '1,200 targets'])
    expect([initials('Ada Admin'), initials('erin'), initials('')]).toEqual(['AA', 'E', ''])
  })
})

describe('words', () => {
  it('names people and commands, and no part of the hub as if it were one', () => {
    expect(actorName({ type: 'system', name: 'sessions' })).toBe('The hub')
    expect(actorName({ type: 'system', name: 'openpam admin unlock' })).toBe('openpam admin unlock')
    expect(actorName({ type: 'user', name: 'alice' })).toBe('alice')
    expect(actorName({ type: 'service_account', name: null })).toBe('Service account')
  })

  it('say the same for a wrong name and a wrong password', () => expect(signInProblem('invalid_credentials').message).toBe('The user name or the password is wrong.'))
  it('treat the end of a sign-in as no mistake', () => expect(signInProblem('expired').calm).toBe(true))
  it('make sentences out of codes', () => {
    expect(sentence('target.host_key_trusted')).toBe('Target host key trusted')
    expect(sentence('api_token')).toBe('API token')
    expect(sentence('capital')).toBe('Capital')
  })
})
