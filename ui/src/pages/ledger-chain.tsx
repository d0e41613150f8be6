import { useQuery } from '@tanstack/react-query'
import { ShieldAlert, ShieldCheck } from 'lucide-react'
import { ledger } from '@/api/hub'
import type { LedgerEntry } from '@/api/types'
import { Badge } from '@/components/badge'
import { CopyValue } from '@/components/copy'
import { Fact } from '@/components/page'
import { formatExact } from '@/lib/format'

/** What the hub's word for the ledger's state means to whoever reads it. */
const STATES: Record<string, string> = {
  unavailable: 'State unknown',
  no_leader: 'No hub seals entries',
  checkpoints_late: 'Signatures are late',
  behind_anchor: 'Does not match its anchor',
  anchor_unavailable: 'An anchor does not answer',
  altered: 'Was rewritten',
  damaged: 'Is damaged',
}

/** Whether entries are sealed and signed, and how far. */
export function ChainBadge() {
  const { data } = useQuery(ledger.standing)
  if (!data) return null
  if (!data.ok) {
    return (
      <Badge tone={['behind_anchor', 'altered', 'damaged'].includes(data.state) ? 'danger' : 'warning'} icon={ShieldAlert}>
        {STATES[data.state] ?? data.state}
      </Badge>
    )
  }
  return (
    <Badge tone="success" icon={ShieldCheck}>
      {`${data.signed.toLocaleString('en')} entries and row changes signed`}
    </Badge>
  )
}

/** Where one entry stands in the chain, and whether a signature speaks for it. */
export function ChainFacts({ entry }: { entry: LedgerEntry }) {
  const { data } = useQuery(ledger.placeOf(entry.id))
  return (
    <>
      <Fact label="Place">{data ? data.seq.toLocaleString('en') : <span className="text-faint">Not sealed yet</span>}</Fact>
      {data && (
        <Fact label="Signed">{data.signed_at ? formatExact(data.signed_at) : <span className="text-faint">Not yet</span>}</Fact>
      )}
      {data && (
        <Fact label="Hash">
          <CopyValue value={data.leaf_hash} />
        </Fact>
      )}
    </>
  )
}
