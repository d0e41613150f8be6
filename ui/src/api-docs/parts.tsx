import { Lock } from 'lucide-react'
import { Badge } from '@/components/badge'
import { CopyText } from '@/components/copy'
import { cn } from '@/lib/cn'
import { curl, type Field, type Operation, type Type, type TypePart } from './document'

const METHODS: Record<string, string> = {
  GET: 'text-info-text',
  POST: 'text-success-text',
  PUT: 'text-warning-text',
  PATCH: 'text-warning-text',
  DELETE: 'text-danger-text',
}
const SOFT: Record<string, string> = {
  GET: 'bg-info-soft',
  POST: 'bg-success-soft',
  PUT: 'bg-warning-soft',
  PATCH: 'bg-warning-soft',
  DELETE: 'bg-danger-soft',
}

/** GET, POST, …: blue reads, green creates, yellow changes, red removes. */
export const Method = ({ method, small }: { method: string; small?: boolean }) => (
  <span className={cn('shrink-0 font-mono font-semibold', METHODS[method] ?? 'text-muted', small ? 'w-9 text-[0.625rem]' : cn('rounded-md px-1.5 text-2xs leading-5', SOFT[method] ?? 'bg-hover'))}>
    {small && method === 'DELETE' ? 'DEL' : method}
  </span>
)

const PLAIN: Record<string, string> = { public: 'For everybody', signed_in: 'Signed in' }

/** One operation: what it does, what one needs, what goes in and what comes out. */
export function OperationSection({ operation }: { operation: Operation }) {
  const { id, method, path, summary, description, access, parameters, body, responses } = operation
  return (
    <article id={id} aria-labelledby={`${id}-title`} className="scroll-mt-32 overflow-hidden rounded-xl border bg-surface shadow-card target:border-accent sm:scroll-mt-20">
      <header className="flex flex-wrap items-center gap-x-3 gap-y-1.5 border-b px-4 py-3">
        <Method method={method} />
        <a href={`#${id}`} className="min-w-0 rounded font-mono text-sm break-all hover:underline">
          <Path path={path} />
        </a>
        <span className="ml-auto">
          <Badge tone={access === 'public' ? 'success' : access === 'signed_in' ? 'neutral' : 'accent'} icon={access === 'public' ? undefined : Lock}>
            {PLAIN[access] ?? access}
          </Badge>
        </span>
      </header>
      <div className="px-4 pt-3 pb-4">
        <h3 id={`${id}-title`} className="text-sm font-medium">
          {summary}
        </h3>
        {description && <p className="mt-1 text-sm whitespace-pre-line text-muted">{description}</p>}
        {parameters.length > 0 && <FieldTable caption="Parameters" fields={parameters} place />}
        {body && (
          <>
            {body.fields.length > 0 ? (
              <FieldTable caption="Body" fields={body.fields} />
            ) : (
              <p className="mt-3 text-sm text-muted">
                Body: <TypeText type={body.type} />
              </p>
            )}
          </>
        )}
        <h4 className="mt-4 mb-1.5 text-xs font-semibold text-muted">Answers</h4>
        <ul className="flex flex-wrap gap-x-5 gap-y-1.5 text-sm">
          {responses.map(({ status, type, media }) => (
            <li key={status} className="flex min-w-0 items-baseline gap-2">
              <span className={cn('font-mono text-xs font-semibold', status.startsWith('2') ? 'text-success-text' : /^[45]/.test(status) ? 'text-danger-text' : 'text-muted')}>{status}</span>
              <span className="min-w-0 break-words">
                {type.length > 0 ? <TypeText type={type} /> : <span className="text-faint">no content</span>}
                {media && !media.includes('json') && <span className="text-faint"> {media}</span>}
              </span>
            </li>
          ))}
        </ul>
        <div className="mt-3 -mb-1 -ml-2.5">
          <CopyText text={curl(operation, location.origin)} label="Copy as curl" />
        </div>
      </div>
    </article>
  )
}

/** What is filled in stands out from what is fixed. */
const Path = ({ path }: { path: string }) => (
  <>
    {path.split(/(\{\w+\})/).map((part) => (part.startsWith('{') ? <span key={part} className="text-accent-text">{part}</span> : part))}
  </>
)

function FieldTable({ caption, fields, place }: { caption: string; fields: (Field & { place?: string })[]; place?: boolean }) {
  return (
    <>
      <h4 className="mt-4 mb-1.5 text-xs font-semibold text-muted">{caption}</h4>
      <div className="overflow-hidden rounded-lg border">
        <table className="w-full text-sm">
          <thead className="sr-only">
            <tr>
              <th scope="col">Name</th>
              <th scope="col">Type and meaning</th>
            </tr>
          </thead>
          <tbody className="divide-y divide-line">
            {fields.map((field) => (
              <tr key={`${field.place ?? ''} ${field.name}`}>
                <th scope="row" className="w-2/5 px-3 py-2 text-left align-top font-normal sm:w-56">
                  <code className="font-mono text-xs break-all text-fg">{field.name}</code>
                  <span className="block text-2xs text-faint">
                    {[place && field.place, field.required && 'required'].filter(Boolean).join(', ')}
                  </span>
                </th>
                <td className="px-3 py-2 align-top break-words">
                  <TypeText type={field.type} />
                  {field.description && <p className="mt-0.5 text-xs text-muted">{field.description}</p>}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  )
}

/** A type in words; a reference leads to its table. */
const TypeText = ({ type }: { type: TypePart[] }) => (
  <span className="font-mono text-xs text-muted">
    {type.map((part) =>
      typeof part === 'string' ? (
        part
      ) : (
        <a key={part.ref} href={`#type-${part.ref}`} className="rounded text-accent-text hover:underline">
          {part.ref.replace(/^Page_(.+)$/, 'Page of $1')}
        </a>
      ),
    )}
  </span>
)

/** One type, closed until it is asked for. */
export const TypeSection = ({ type: { name, description, fields, values } }: { type: Type }) => (
  <details id={`type-${name}`} className="scroll-mt-32 rounded-xl border bg-surface shadow-card target:border-accent sm:scroll-mt-20">
    <summary className="cursor-pointer rounded-xl px-4 py-2.5 text-sm hover:bg-hover">
      <code className="font-mono text-xs font-semibold text-fg">{name}</code>
      {description && <span className="ml-3 text-muted">{description}</span>}
    </summary>
    <div className="px-4 pb-4">
      {values.length > 0 && <p className="mt-2 font-mono text-xs text-muted">{values.map((value) => JSON.stringify(value)).join(' | ')}</p>}
      {fields.length > 0 && <FieldTable caption="Fields" fields={fields} />}
    </div>
  </details>
)
