import { useMutation } from '@tanstack/react-query'
import { ScanLine, ShieldCheck, Trash2, TriangleAlert } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { targets } from '@/api/hub'
import type { HostKey, Scan, ScannedKey, Target } from '@/api/types'
import { Badge } from '@/components/badge'
import { Button, IconButton } from '@/components/button'
import { ConfirmDialog } from '@/components/confirm'
import { CopyValue } from '@/components/copy'
import { Dialog, DialogBody, DialogFooter } from '@/components/dialog'
import { Card } from '@/components/page'
import { asProblem, InlineProblem } from '@/components/states'
import { RelativeTime } from '@/components/time'

/** The keys by which the hub knows the machine; new ones are compared by a person, then trusted. */
export function HostKeysCard({ target, editable, onTrusted }: { target: Target; editable: boolean; onTrusted?: () => void }) {
  const [removing, setRemoving] = useState<HostKey | null>(null)
  const scan = useMutation({ mutationFn: () => targets.scan(target.id) })
  return (
    <Card flush title="Host keys" description="The hub connects only to a machine that shows one of these."
      actions={editable && <Button size="sm" icon={ScanLine} busy={scan.isPending} onClick={() => scan.mutate()}>Scan…</Button>}>
      {scan.error && <InlineProblem error={scan.error} className="m-4" />}
      {target.host_keys.length === 0 && (
        <p className="px-4 py-6 text-center text-sm text-muted">No key is trusted yet. Scan the machine, compare what it shows, then trust it.</p>
      )}
      <ul className="divide-y divide-line">
        {target.host_keys.map((key) => (
          <li key={key.id} className="flex items-start gap-3 px-4 py-2.5">
            <ShieldCheck aria-hidden className="mt-0.5 size-4 shrink-0 text-success-text" />
            <div className="min-w-0 flex-1">
              <CopyValue value={key.fingerprint} />
              <p className="text-xs text-faint">
                {key.algorithm}{key.kind === 'ca' && ' · host authority'} · trusted <RelativeTime time={key.trusted_at} />{key.trusted_by && ` by ${key.trusted_by}`}
              </p>
            </div>
            {editable && <IconButton icon={Trash2} size="sm" label={`Stop trusting ${key.algorithm}`} onClick={() => setRemoving(key)} />}
          </li>
        ))}
      </ul>
      {scan.data && <ScanDialog target={target} scan={scan.data} onClose={() => scan.reset()} onTrusted={onTrusted} />}
      {removing && (
        <ConfirmDialog onClose={() => setRemoving(null)} title={`Stop trusting this key of ${target.name}?`} action="Stop trusting"
          onConfirm={() => targets.distrustKey(target.id, removing.id)}>
          <code className="font-mono text-xs break-all">{removing.fingerprint}</code>
          <p className="mt-2">If it is the key the machine shows, new connections are refused until a key is trusted again.</p>
        </ConfirmDialog>
      )}
    </Card>
  )
}

function ScanDialog({ target, scan, onClose, onTrusted }: { target: Target; scan: Scan; onClose: () => void; onTrusted?: () => void }) {
  const [trusted, setTrusted] = useState(() => new Set(scan.keys.filter((key) => key.trusted).map((key) => key.fingerprint)))
  const trust = useMutation({
    mutationFn: (key: ScannedKey) => targets.trustKey(target.id, { public_key: key.public_key, kind: 'host' }),
    onSuccess: (_, key) => {
      setTrusted((before) => new Set(before).add(key.fingerprint))
      toast.success(`The ${key.algorithm} key of ${target.name} is trusted`)
      onTrusted?.()
    },
    onError: (error) => toast.error(asProblem(error).message),
  })
  // As it was when the scan was made: a key trusted in this dialog is no sign of a change.
  const [known] = useState(() => target.host_keys)
  const changed = known.length > 0 && scan.keys.length > 0 && !scan.keys.some((key) => key.trusted)
  return (
    <Dialog open onClose={onClose} title={`What ${target.name} shows`} description={scan.server_version ?? undefined} width="max-w-2xl">
      <DialogBody className="flex flex-col gap-3">
        {changed && trusted.size === 0 && (
          <div role="alert" className="flex gap-2 rounded-lg border border-danger/30 bg-danger-soft px-3 py-2.5 text-sm text-danger-text">
            <TriangleAlert aria-hidden className="mt-0.5 size-4 shrink-0" />
            <div className="min-w-0">
              <p className="font-medium">The target’s host key changed.</p>
              <p>It was reinstalled, or someone stands in between. Trusted until now:</p>
              {known.map((key) => <code key={key.id} className="block font-mono text-xs break-all">{key.fingerprint}</code>)}
            </div>
          </div>
        )}
        <p className="text-sm text-muted">
          Compare with what the machine itself says, for example by <code className="font-mono text-xs">ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub</code> on its console.
        </p>
        {scan.keys.length === 0 && <p className="text-sm text-danger-text">It showed no key.</p>}
        <ul className="divide-y divide-line rounded-lg border">
          {scan.keys.map((key) => (
            <li key={key.fingerprint} className="flex flex-wrap items-center gap-x-3 gap-y-2 px-3 py-2.5">
              <div className="min-w-0 flex-1 basis-64">
                <p className="text-xs text-muted">{key.algorithm}</p>
                <CopyValue value={key.fingerprint} />
              </div>
              {trusted.has(key.fingerprint) ? <Badge tone="success" icon={ShieldCheck}>Trusted</Badge> : (
                <Button size="sm" variant={changed ? 'danger' : 'primary'} busy={trust.isPending && trust.variables === key} onClick={() => trust.mutate(key)}>
                  It matches, trust it
                </Button>
              )}
            </li>
          ))}
        </ul>
      </DialogBody>
      <DialogFooter><Button onClick={onClose}>Done</Button></DialogFooter>
    </Dialog>
  )
}
