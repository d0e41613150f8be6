import { cleanup, fireEvent, render, screen } from '@testing-library/react'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { SearchInput } from './filters'

const type = (text: string) => fireEvent.change(screen.getByRole('searchbox'), { target: { value: text } })

describe('a search as one types', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => {
    cleanup()
    vi.useRealTimers()
  })
  it('follows a moment after the last letter', () => {
    const change = vi.fn<(value: string | undefined) => void>()
    render(<SearchInput value={undefined} onChange={change} placeholder="Find" />)
    type('we')
    vi.advanceTimersByTime(100)
    type('web ')
    expect(change).not.toHaveBeenCalled()
    vi.advanceTimersByTime(200)
    expect(change.mock.calls).toEqual([['web']])
  })
  it('follows at once when one goes on to something else, and not again later', () => {
    const change = vi.fn<(value: string | undefined) => void>()
    render(<SearchInput value={undefined} onChange={change} placeholder="Find" />)
    type('web')
    fireEvent.blur(screen.getByRole('searchbox'))
    expect(change.mock.calls).toEqual([['web']])
    vi.advanceTimersByTime(1_000)
    expect(change).toHaveBeenCalledTimes(1)
  })
  it('sends what was typed at once on Enter, before the page hears of it', () => {
    const change = vi.fn<(value: string | undefined) => void>()
    const chosen = vi.fn<() => void>(() => expect(change).toHaveBeenCalled())
    render(
      // oxlint-disable-next-line jsx-a11y/no-static-element-interactions -- as a page listens to it
      <div onKeyDown={chosen}>
        <SearchInput value={undefined} onChange={change} placeholder="Find" />
      </div>,
    )
    type('web')
    fireEvent.keyDown(screen.getByRole('searchbox'), { key: 'Enter' })
    expect(change.mock.calls).toEqual([['web']])
    expect(chosen).toHaveBeenCalledTimes(1)
  })
})
