import { cleanup, render, screen } from '@testing-library/react'
import { Tooltip } from 'radix-ui'
import { afterEach, describe, expect, it } from 'vitest'
import type { User } from '@/api/types'
import { isLocked, UserState } from './state'

const user = (state: Partial<User>) => ({ enabled: true, locked_until: null, ...state }) as User
const shown = (state: Partial<User>) => {
  render(
    <Tooltip.Provider>
      <UserState user={user(state)} />
    </Tooltip.Provider>,
  )
  return document.body.textContent
}
const inMinutes = (minutes: number) => new Date(Date.now() + minutes * 60_000).toISOString()

afterEach(cleanup)

describe('the state of a user', () => {
  it('says until when they are locked', () => {
    expect(shown({ locked_until: inMinutes(5) })).toMatch(/^Locked until .*\d\d:\d\d$/)
    expect(screen.queryByText('Enabled')).toBeNull()
  })
  it('forgets a lock that is over', () => expect(shown({ locked_until: inMinutes(-1) })).toBe('Enabled'))
  it('says both of a disabled one', () => expect(shown({ enabled: false, locked_until: inMinutes(5) })).toMatch(/^DisabledLocked until/))
  it('has no lock without a time', () => expect(isLocked(user({}), Date.now())).toBe(false))
})
