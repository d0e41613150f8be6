import { describe, expect, it } from 'vitest'
import { keysOf } from './live'

describe('what is read again', () => {
  it.each([
    ['openpam.session.started', 'sessions', true],
    ['openpam.session.ended', 'users', false],
    ['openpam.user.updated', 'users', true],
    ['openpam.user.updated', 'sessions', false],
    ['session.started', 'sessions', false],
    ['build.done', 'events', true],
  ])('%s: %s %s', (event_type, key, expected) => expect(keysOf({ event_type, subject: null }).includes(key)).toBe(expected))
})
