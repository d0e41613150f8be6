import { renderToStaticMarkup } from 'react-dom/server'
import { describe, expect, it } from 'vitest'
import type { RecordingHit } from '@/api/types'
import { MatchText } from './match-text'

const hit = (text: string, match_from: number, match_length: number, command_from: number | null = null): RecordingHit => ({
  at: 1,
  kind: command_from === null ? 'output' : 'command',
  text,
  command_from: command_from as number,
  match_from,
  match_length,
})
/** The line with its match in brackets and its prompt in braces. */
const shown = (found: RecordingHit) =>
  renderToStaticMarkup(<MatchText hit={found} />)
    .replaceAll(/<mark[^>]*>(.*?)<\/mark>/g, '[$1]')
    .replaceAll(/<span[^>]*>(.*?)<\/span>/g, '{$1}')
    .replaceAll(/<[^>]+>/g, '')

describe('a line that was found', () => {
  it('marks what matched, counted in characters', () => {
    expect(shown(hit('an 😀 error here', 5, 5))).toBe('an 😀 [error] here')
    expect(shown(hit('error', 0, 5))).toBe('[error]')
    expect(shown(hit('error', 0, 0))).toBe('error')
  })
  it('sets the prompt apart from the command', () => {
    expect(shown(hit('me@here:~$ systemctl stop x', 11, 9, 11))).toBe('{me@here:~$ }[systemctl] stop x')
    expect(shown(hit('me@here:~$ stop it', 16, 2, 11))).toBe('{me@here:~$ }stop [it]')
    expect(shown(hit('me@here:~$ ls', 3, 4, 11))).toBe('me@[here]:~$ ls')
  })
  it('shows what the target wrote as text', () => {
    expect(shown(hit('<b>x</b>', 3, 1))).toBe('&lt;b&gt;[x]&lt;/b&gt;')
  })
})
