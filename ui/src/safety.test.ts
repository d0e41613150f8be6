/** Rules of the whole source that no type can hold. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = import.meta.dirname
const sources = readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && /\.(ts|tsx)$/.test(entry.name) && !/\.test\.tsx?$/.test(entry.name))
  .map((entry) => join(entry.parentPath, entry.name))
  .filter((path) => !path.endsWith('api/schema.ts'))
  .map((path) => ({ path: relative(root, path), text: readFileSync(path, 'utf8') }))

const using = (pattern: RegExp) => sources.filter(({ text }) => pattern.test(text)).map(({ path }) => path)

describe('the source', () => {
  it('is found', () => expect(sources.length).toBeGreaterThan(60))
  it('talks HTTP only in api/', () => {
    const paths = using(/\bfetch\s*\(|XMLHttpRequest|sendBeacon|EventSource\s*\(/)
    expect(paths.filter((path) => !path.startsWith('api/'))).toEqual([])
    expect(paths).toContain('api/client.ts')
  })
  it('opens WebSockets only in api/ and the terminal', () => {
    expect(using(/new WebSocket\s*\(/).filter((path) => !/^(api|terminal)\//.test(path))).toEqual([])
  })
  it('keeps nothing but the theme in local storage', () => {
    expect(using(/\blocalStorage\b/)).toEqual(['lib/theme.ts'])
    const theme = sources.find(({ path }) => path === 'lib/theme.ts')?.text ?? ''
    expect([...theme.matchAll(/localStorage\.\w+\((\w+)/g)].map(([, key]) => key)).toEqual(['KEY', 'KEY', 'KEY'])
  })
  it('uses no cookie and no database of the browser', () => {
    expect(using(/document\.cookie|indexedDB|\bcaches\.open/)).toEqual([])
  })
  it('evaluates no text as code or markup', () => {
    expect(using(/dangerouslySetInnerHTML|\.innerHTML\s*=|\beval\s*\(|new Function\s*\(|document\.write/)).toEqual([])
  })
  it('names no other origin', () => {
    expect(using(/['"`](https?|wss?):\/\/(?!origin\.invalid)[\w.-]/)).toEqual([])
  })
})
