import { useQuery } from '@tanstack/react-query'
import { Link, type LinkProps } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { ledger } from '@/api/hub'
import type { LedgerEntry, Outcome, RowImages } from '@/api/types'
import { Badge, type Tone } from '@/components/badge'
import { CopyText, CopyValue } from '@/components/copy'
import { Dialog, DialogBody, DialogFooter } from '@/components/dialog'
import { Fact, Facts, LINK } from '@/components/page'
import { formatExact } from '@/lib/format'
import { changedFields, detailsOf, fieldLabel, imageChanges, valueText, type Change, type Detail } from '@/lib/ledger'
import { actionName, actorName, sentence } from '@/lib/words'
import type { LedgerSearch } from '@/router'
import { ChainFacts } from './ledger-chain'

/** How acts end, as they are filtered by. */
export const OUTCOMES: { value: Outcome; label: string; tone: Tone }[] = [
  { value: 'success', label: 'Success', tone: 'success' },
  { value: 'denied', label: 'Denied', tone: 'warning' },
  { value: 'failure', label: 'Failure', tone: 'danger' },
]

/** How an act ended. */
export function OutcomeBadge({ outcome }: { outcome: Outcome }) {
  const known = OUTCOMES.find(({ value }) => value === outcome)
  return (
    <Badge tone={known?.tone ?? 'neutral'} dot>
      {known?.label ?? outcome}
    </Badge>
  )
}

/** Where the thing an entry is about can be looked at. */
const PAGES: Record<string, LinkProps['to']> = {
  target: '/targets/$id',
  credential: '/credentials/$id',
  user: '/users/$id',
  group: '/groups/$id',
  session: '/sessions/$id',
  service_account: '/service-accounts/$id',
}

/** All of one entry: who and what, what was changed from what to what, and everything else it says. */
export function EntryPanel({ entry, onClose, onFilter }: { entry: LedgerEntry; onClose: () => void; onFilter: (filter: Partial<LedgerSearch>) => void }) {
  const { actor, object } = entry
  const page = object?.id ? PAGES[object.type] : undefined
  return (
    <Dialog open as="panel" onClose={onClose} title={actionName(entry.action, entry.outcome)} description={formatExact(entry.occurred_at)}>
      <DialogBody>
        <Facts>
          <Fact label="Outcome">
            <OutcomeBadge outcome={entry.outcome} />
          </Fact>
          <Fact label="By">
            <span>{actorName(actor)}</span>
            {actor.id && <FilterLink label="All by them" onClick={() => onFilter({ actor_id: actor.id ?? undefined })} />}
          </Fact>
          <Fact label="About">
            {object && (
              <>
                {page && object.id ? (
                  <Link to={page} params={{ id: object.id } as never} className={LINK}>
                    {object.name ?? sentence(object.type)}
                  </Link>
                ) : (
                  <span>{object.name ?? object.id}</span>
                )}
                <span className="text-faint">{sentence(object.type)}</span>
                {object.id && <FilterLink label="All about it" onClick={() => onFilter({ object_id: object.id ?? undefined })} />}
              </>
            )}
          </Fact>
          <Fact label="Action">
            <code className="font-mono text-xs">{entry.action}</code>
            <FilterLink label="All of this kind" onClick={() => onFilter({ action: entry.action })} />
          </Fact>
          <Fact label="From">{entry.client_ip && <code className="font-mono text-xs">{entry.client_ip}</code>}</Fact>
          <Fact label="Request">{entry.request_id && <CopyValue value={entry.request_id} />}</Fact>
          <Fact label="Entry">
            <CopyValue value={entry.id} />
          </Fact>
          <ChainFacts entry={entry} />
        </Facts>
        <Changes entry={entry} />
        <Details entry={entry} />
        <Rows entry={entry} />
      </DialogBody>
      <DialogFooter>
        <CopyText text={JSON.stringify(entry, null, 2)} label="Copy as JSON" />
      </DialogFooter>
    </Dialog>
  )
}

const FilterLink = ({ label, onClick }: { label: string; onClick: () => void }) => (
  <button type="button" onClick={onClick} className="rounded text-xs text-faint hover:text-fg hover:underline">
    {label}
  </button>
)

const Heading = ({ children }: { children: ReactNode }) => <h3 className="mt-6 mb-2 text-sm font-semibold text-fg">{children}</h3>

const CELL = 'px-3 py-2 align-top break-words'

function Changes({ entry }: { entry: LedgerEntry }) {
  const changes = changedFields(entry)
  if (changes.length === 0) return null
  return (
    <>
      <Heading>What changed</Heading>
      <ChangeTable changes={changes} />
    </>
  )
}

const OPERATIONS: Record<string, string> = { insert: 'added', update: 'changed', delete: 'removed' }

/** The rows of the database that the act changed, each before and after; closed until somebody asks. */
function Rows({ entry }: { entry: LedgerEntry }) {
  const { data } = useQuery(ledger.changesOf(entry.id))
  if (!data || data.items.length === 0) return null
  return (
    <>
      <Heading>In the database</Heading>
      <div className="flex flex-col gap-2">
        {data.items.map((row) => (
          <Row key={row.id} row={row} />
        ))}
        {data.more && <p className="text-xs text-muted">More rows were changed in this act.</p>}
      </div>
    </>
  )
}

function Row({ row }: { row: RowImages }) {
  const changes = imageChanges(row)
  return (
    <details className="rounded-lg border">
      <summary className="cursor-pointer px-3 py-2 text-sm">
        {sentence(row.table)} {OPERATIONS[row.operation] ?? row.operation}
        <code className="ml-2 font-mono text-xs text-faint">{row.row_id.slice(-8)}</code>
      </summary>
      <div className="px-3 pb-3">
        {row.erased_at ? <p className="text-sm text-muted">What was there was erased on {formatExact(row.erased_at)}.</p> : <ChangeTable changes={changes} />}
      </div>
    </details>
  )
}

function ChangeTable({ changes }: { changes: Change[] }) {
  return (
    <div className="overflow-hidden rounded-lg border">
      <table className="w-full table-fixed text-sm">
        <thead className="bg-sunken text-xs text-muted">
          <tr>
            <th scope="col" className="w-[30%] px-3 py-1.5 text-left font-medium">Field</th>
            <th scope="col" className="px-3 py-1.5 text-left font-medium">Before</th>
            <th scope="col" className="px-3 py-1.5 text-left font-medium">After</th>
          </tr>
        </thead>
        <tbody className="divide-y divide-line">
          {changes.map(({ field, before, after }) => (
            <tr key={field}>
              <th scope="row" className={`${CELL} text-left font-normal text-muted`}>{fieldLabel(field)}</th>
              <td className={`${CELL} text-muted`}>{valueText(field, before) ?? <None />}</td>
              <td className={`${CELL} font-medium text-fg`}>{valueText(field, after) ?? <None />}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

const None = () => <span className="font-normal text-faint">None</span>

function Details({ entry }: { entry: LedgerEntry }) {
  const details = detailsOf(entry)
  if (details.length === 0) return null
  return (
    <>
      <Heading>Details</Heading>
      <Facts>
        {details.map((detail) => (
          <Fact key={detail.key} label={detail.label}>
            <Value detail={detail} />
          </Fact>
        ))}
      </Facts>
    </>
  )
}

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** Ids, hashes, keys, paths: what is compared and copied rather than read. */
const isCode = (value: string) => ID.test(value) || /^[0-9a-f]{40,}$/.test(value) || /^[A-Za-z0-9+/]{42,}={0,2}$/.test(value)

function Value({ detail: { key, value } }: { detail: Detail }) {
  const page = key.endsWith('_id') ? PAGES[key.slice(0, -3)] : undefined
  if (typeof value === 'string' && ID.test(value) && page) {
    return (
      <Link to={page} params={{ id: value } as never} className={LINK}>
        <code className="font-mono text-xs">{value.slice(-8)}</code>
      </Link>
    )
  }
  if (typeof value === 'string' && isCode(value)) return <CopyValue value={value} />
  const text = valueText(key, value)
  if (text === null) return <None />
  return key === 'code' || typeof value === 'object' && !Array.isArray(value) ? <code className="min-w-0 font-mono text-xs break-all">{text}</code> : <span className="min-w-0 break-words whitespace-pre-line">{text}</span>
}
