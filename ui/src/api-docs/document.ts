/** The OpenAPI document, made ready for reading: operations in groups, types as words. */

/** What of JSON Schema the hub's document uses. */
export interface Schema {
  $ref?: string
  type?: string | string[]
  format?: string
  description?: string
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  prefixItems?: Schema[]
  enum?: unknown[]
  oneOf?: Schema[]
  anyOf?: Schema[]
  allOf?: Schema[]
  additionalProperties?: Schema | boolean
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
}

interface Content {
  content?: Record<string, { schema?: Schema }>
}

interface RawOperation {
  operationId?: string
  summary?: string
  description?: string
  tags?: string[]
  parameters?: { name: string; in: string; required?: boolean; description?: string; schema?: Schema }[]
  requestBody?: Content
  responses?: Record<string, Content & { description?: string }>
  'x-openpam-access'?: string
}

export interface OpenApi {
  info: { title: string; version: string; description?: string }
  paths: Record<string, Record<string, RawOperation>>
  components?: { schemas?: Record<string, Schema> }
}

/** A type as words; what has a table of its own is a reference. */
export type TypePart = string | { ref: string }

export interface Field {
  name: string
  type: TypePart[]
  required: boolean
  description: string
}

export interface Operation {
  id: string
  method: string
  path: string
  summary: string
  description: string
  tag: string
  /** A permission, `signed_in` or `public`. */
  access: string
  parameters: (Field & { place: string })[]
  body: { type: TypePart[]; fields: Field[] } | null
  responses: { status: string; type: TypePart[]; media: string }[]
  /** What is searched in. */
  text: string
}

export interface Group {
  tag: string
  title: string
  operations: Operation[]
}

export interface Type {
  name: string
  description: string
  fields: Field[]
  values: string[]
}

/** In the order one meets them; what is not named here comes after, by name. */
const ORDER = ['auth', 'launcher', 'terminal', 'sessions', 'recordings', 'audit', 'targets', 'zones', 'sites', 'credentials', 'identity', 'settings']
const TITLES: Record<string, string> = {
  audit: 'Ledger',
  auth: 'Signing in',
  health: 'Health and metrics',
  identity: 'Users, groups, service accounts',
  recordings: 'Recordings',
  settings: 'Settings and system',
}
const METHODS = ['get', 'post', 'put', 'patch', 'delete']

const refName = ($ref: string) => $ref.slice($ref.lastIndexOf('/') + 1)
const schemasOf = (document: OpenApi) => document.components?.schemas ?? {}

/** An id is a UUID and nothing more: a table for each kind would say nothing. */
const isId = (schema: Schema | undefined) => schema?.type === 'string' && schema.format === 'uuid'

/** A schema in words: `string (date-time) | null`, `Target[]`. */
export function typeOf(schema: Schema | undefined, document: OpenApi): TypePart[] {
  if (!schema) return ['anything']
  if (schema.$ref) {
    const name = refName(schema.$ref)
    return isId(schemasOf(document)[name]) ? ['UUID'] : [{ ref: name }]
  }
  const choices = schema.oneOf ?? schema.anyOf
  if (choices) return joined(choices, ' | ', document)
  if (schema.allOf) return joined(schema.allOf.filter((part) => part.$ref || !part.properties), ' and more: ', document)
  if (schema.enum) return [schema.enum.map((value) => JSON.stringify(value)).join(' | ')]
  if (Array.isArray(schema.type)) return joined(schema.type.map((type) => (type === 'null' ? { type } : { ...schema, type })), ' | ', document)
  if (schema.type === 'array') {
    const item = schema.items ? typeOf(schema.items, document) : joined(schema.prefixItems ?? [], ', ', document)
    return item.length === 1 ? [...item, '[]'] : ['(', ...item, ')[]']
  }
  if (schema.type === 'object' && typeof schema.additionalProperties === 'object') return ['object of ', ...typeOf(schema.additionalProperties, document)]
  if (!schema.type) return ['anything']
  if (schema.format === 'uuid') return ['UUID']
  const limits = limitsOf(schema)
  const format = schema.format && !/^u?int\d+$/.test(schema.format) ? schema.format : ''
  const extra = [format, limits].filter(Boolean).join(', ')
  return [extra ? `${schema.type} (${extra})` : schema.type]
}

function limitsOf({ minimum, maximum, minLength, maxLength }: Schema): string {
  const [least, most, unit] = minLength !== undefined || maxLength !== undefined ? [minLength, maxLength, ' characters'] : [minimum, maximum, '']
  if (least !== undefined && most !== undefined) return `${least} to ${most}${unit}`
  if (most !== undefined) return `at most ${most}${unit}`
  return least !== undefined && least !== 0 ? `at least ${least}${unit}` : ''
}

const joined = (schemas: Schema[], between: string, document: OpenApi): TypePart[] =>
  schemas.flatMap((schema, index) => (index === 0 ? typeOf(schema, document) : [between, ...typeOf(schema, document)]))

/** The fields of an object, those of its parts included. */
export function fieldsOf(schema: Schema | undefined, document: OpenApi): Field[] {
  if (!schema) return []
  if (schema.$ref) return fieldsOf(schemasOf(document)[refName(schema.$ref)], document)
  const own = Object.entries(schema.properties ?? {}).map(([name, field]) => ({
    name,
    type: typeOf(field, document),
    required: schema.required?.includes(name) ?? false,
    description: field.description ?? '',
  }))
  return [...(schema.allOf ?? []).flatMap((part) => fieldsOf(part, document)), ...own]
}

const mediaOf = (content: Content | undefined) => Object.entries(content?.content ?? {})[0]

function operation(path: string, method: string, raw: RawOperation, document: OpenApi): Operation {
  const body = mediaOf(raw.requestBody)?.[1].schema
  const id = raw.operationId ?? `${method}-${path}`
  const summary = raw.summary ?? ''
  const tag = raw.tags?.[0] ?? 'other'
  return {
    id,
    method: method.toUpperCase(),
    path,
    summary,
    description: raw.description ?? '',
    tag,
    access: raw['x-openpam-access'] ?? 'signed_in',
    parameters: (raw.parameters ?? []).map((parameter) => ({
      name: parameter.name,
      place: parameter.in,
      type: typeOf(parameter.schema, document),
      required: parameter.required ?? false,
      description: parameter.description ?? '',
    })),
    body: body ? { type: typeOf(body, document), fields: fieldsOf(body, document) } : null,
    responses: Object.entries(raw.responses ?? {}).map(([status, response]) => {
      const [media, { schema }] = mediaOf(response) ?? ['', { schema: undefined }]
      return { status, media, type: media ? typeOf(schema, document) : [] }
    }),
    text: `${method} ${path} ${id} ${summary} ${raw.description ?? ''} ${titleOf(tag)} ${raw['x-openpam-access'] ?? ''}`.toLowerCase(),
  }
}

const titleOf = (tag: string) => TITLES[tag] ?? tag.charAt(0).toUpperCase() + tag.slice(1)
const place = (tag: string) => (ORDER.includes(tag) ? ORDER.indexOf(tag) : ORDER.length)

/** Every operation, in groups. */
export function groupsOf(document: OpenApi): Group[] {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    METHODS.flatMap((method) => (methods[method] ? [operation(path, method, methods[method], document)] : [])),
  )
  const tags = [...new Set(operations.map(({ tag }) => tag))].toSorted((a, b) => place(a) - place(b) || a.localeCompare(b))
  return tags.map((tag) => ({ tag, title: titleOf(tag), operations: operations.filter((one) => one.tag === tag) }))
}

/** What has all the words. */
export function matching(groups: Group[], text: string): Group[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  if (words.length === 0) return groups
  return groups
    .map((group) => ({ ...group, operations: group.operations.filter((one) => words.every((word) => one.text.includes(word))) }))
    .filter(({ operations }) => operations.length > 0)
}

/** Every type that has a table of its own. */
export const typesOf = (document: OpenApi): Type[] =>
  Object.entries(schemasOf(document))
    .filter(([, schema]) => !isId(schema))
    .map(([name, schema]) => ({
      name,
      description: schema.description ?? '',
      fields: fieldsOf(schema, document),
      values: (schema.enum ?? []).map(String),
    }))
    .toSorted((a, b) => a.name.localeCompare(b.name))

/** The same as a command; `origin` is where the hub is. */
export function curl({ method, path, access, body }: Operation, origin: string): string {
  const lines = [`curl${method === 'GET' ? '' : ` -X ${method}`} '${origin}${path}'`]
  if (access !== 'public') lines.push('-H "Authorization: Bearer $OPENPAM_TOKEN"')
  if (body) {
    const required = body.fields.filter((field) => field.required).map(({ name }) => [name, '…'])
    lines.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(Object.fromEntries(required))}'`)
  }
  return lines.join(' \\\n  ')
}
