import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { curl, fieldsOf, groupsOf, matching, typeOf, typesOf, type OpenApi, type Schema } from './document'

const hub = JSON.parse(readFileSync(join(import.meta.dirname, '../../openapi.json'), 'utf8')) as OpenApi
const groups = groupsOf(hub)
const operations = groups.flatMap((group) => group.operations)
const one = (id: string) => {
  const found = operations.find((operation) => operation.id === id)
  if (!found) throw new Error(`no operation ${id}`)
  return found
}
const words = (schema: Schema) => typeOf(schema, hub).map((part) => (typeof part === 'string' ? part : part.ref)).join('')

describe('the reference', () => {
  it('has every operation of the document once', () => {
    const expected = Object.entries(hub.paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`))
    expect(operations.map(({ method, path }) => `${method} ${path}`).toSorted()).toEqual(expected.toSorted())
    expect(new Set(operations.map(({ id }) => id)).size).toBe(operations.length)
    expect(operations.every(({ summary }) => summary.length > 3)).toBe(true)
  })
  it('has a table for every type that is referred to', () => {
    const known = new Set(typesOf(hub).map(({ name }) => name))
    const bodies = operations.flatMap(({ body }) => body ?? [])
    const parts = [
      ...operations.flatMap(({ parameters }) => parameters),
      ...operations.flatMap(({ responses }) => responses),
      ...bodies,
      ...bodies.flatMap(({ fields }) => fields),
      ...typesOf(hub).flatMap(({ fields }) => fields),
    ]
    const named = parts.flatMap(({ type }) => type).filter((part) => typeof part !== 'string')
    expect(named.length).toBeGreaterThan(50)
    expect(named.filter(({ ref }) => !known.has(ref))).toEqual([])
  })
  it('says what one needs', () => {
    expect(one('create_target').access).toBe('target.manage')
    expect(one('healthz').access).toBe('public')
  })
})

describe('types in words', () => {
  it('are short', () => {
    expect(words({ type: ['string', 'null'], format: 'date-time' })).toBe('string (date-time) | null')
    expect(words({ type: 'array', items: { $ref: '#/components/schemas/TargetId' } })).toBe('UUID[]')
    expect(words({ oneOf: [{ type: 'null' }, { $ref: '#/components/schemas/Environment' }] })).toBe('null | Environment')
    expect(words({ type: 'array', items: { type: ['string', 'null'] } })).toBe('(string | null)[]')
    expect(words({ type: 'string', minLength: 12, maxLength: 256 })).toBe('string (12 to 256 characters)')
    expect(words({ type: 'integer', format: 'int32', minimum: 0 })).toBe('integer')
    expect(words({ type: 'object', additionalProperties: {} })).toBe('object of anything')
    expect(words({ enum: ['a', 'b'] })).toBe('"a" | "b"')
  })
  it('have the fields of their parts too', () => {
    const fields = fieldsOf({ $ref: '#/components/schemas/FreshToken' }, hub).map(({ name }) => name)
    expect(fields).toContain('token')
    expect(fields).toContain('expires_at')
  })
})

describe('the search', () => {
  it('finds what has all the words, wherever', () => {
    const found = matching(groups, 'POST unlock').flatMap((group) => group.operations)
    expect(found.map(({ id }) => id)).toEqual(['unlock_user'])
  })
  it('finds by what one needs', () => expect(matching(groups, 'zone.manage').flatMap((group) => group.operations).length).toBe(6))
  it('finds nothing for nonsense, everything for nothing', () => {
    expect(matching(groups, 'xyzzy')).toEqual([])
    expect(matching(groups, '  ')).toBe(groups)
  })
})

describe('the command', () => {
  it('has the token, and a body with what is required', () => {
    const command = curl(one('create_target'), 'https://pam.example.com')
    expect(command).toContain("curl -X POST 'https://pam.example.com/api/v1/admin/targets'")
    expect(command).toContain('Bearer $OPENPAM_TOKEN')
    expect(command).toContain('"host":"…"')
    expect(command).not.toContain('description')
  })
  it('has no token where none is needed', () => expect(curl(one('healthz'), 'https://x')).toBe("curl 'https://x/healthz'"))
})
