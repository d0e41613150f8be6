import { useMutation } from '@tanstack/react-query'
import { Check, LoaderCircle, Minus, PlugZap, X } from 'lucide-react'
import { useState } from 'react'
import type { ConnectionTest } from '@/api/types'
import { cn } from '@/lib/cn'
import { formatDuration } from '@/lib/format'
import { stageName } from '@/lib/words'
import { Button } from './button'
import { Field, Select } from './field'
import { Card } from './page'
import { InlineProblem, ProblemReference } from './states'

type TracedTest = ConnectionTest & { requestId: string | null }

interface ConnectionTestCardProps {
  /** What one chooses to test with: a credential, or a target. */
  choice: string
  options: { id: string; label: string }[]
  none?: string
  run: (id: string | undefined) => Promise<TracedTest>
}

/** Connects for real, stage by stage, and says how far it came. */
export function ConnectionTestCard({ choice, options, none, run }: ConnectionTestCardProps) {
  const [chosen, setChosen] = useState<string | null>(null)
  // All of it is what one wants to know: without a credential only where there is none, or it was chosen.
  const picked = options.some(({ id }) => id === chosen) || (none && chosen === '') ? (chosen ?? '') : (options[0]?.id ?? '')
  const test = useMutation({ mutationFn: () => run(picked || undefined) })
  return (
    <Card title="Connection test" description="Connects for real and reports every stage.">
      <div className="flex items-end gap-2">
        <Field label={choice} className="min-w-0 flex-1">
          <Select value={picked} onChange={(event) => setChosen(event.target.value)}>
            {none && <option value="">{none}</option>}
            {options.map((option) => (
              <option key={option.id} value={option.id}>
                {option.label}
              </option>
            ))}
          </Select>
        </Field>
        <Button icon={PlugZap} busy={test.isPending} disabled={!none && picked === ''} onClick={() => test.mutate()}>
          Test
        </Button>
      </div>
      {test.error && <InlineProblem error={test.error} className="mt-4" />}
      {test.isPending && (
        <p role="status" className="mt-4 flex items-center gap-2 text-sm text-muted">
          <LoaderCircle aria-hidden className="size-4 animate-spin" /> Connecting…
        </p>
      )}
      {test.data && !test.isPending && <Stages result={test.data} />}
    </Card>
  )
}

function Stages({ result }: { result: TracedTest }) {
  const off = result.stages.some(({ ok, code }) => ok && code === 'target_disabled')
  const loggedIn = result.stages.some(({ stage, ok }) => stage === 'authenticate' && ok)
  return (
    <div role="status" className="mt-4">
      <p className={cn('text-sm font-medium', !result.ok ? 'text-danger-text' : off ? 'text-warning-text' : loggedIn ? 'text-success-text' : 'text-fg')}>
        {!result.ok ? 'It does not work yet.' : off ? 'It works, but the target is switched off: nobody can open a session.' : loggedIn ? 'It works: a session could be opened.' : 'It can be reached, and its host key is the trusted one. Logging in was not tried.'}
      </p>
      <ol className="mt-2 divide-y divide-line rounded-lg border">
        {result.stages.map((stage) => (
          <li key={stage.stage} className="flex items-start gap-2.5 px-3 py-2 text-sm">
            {stage.ok ? (
              <Check aria-label="Passed" className="mt-0.5 size-4 shrink-0 text-success-text" />
            ) : stage.code === 'skipped' ? (
              <Minus aria-label="Not tried" className="mt-0.5 size-4 shrink-0 text-faint" />
            ) : (
              <X aria-label="Failed" className="mt-0.5 size-4 shrink-0 text-danger-text" />
            )}
            <div className="min-w-0 flex-1">
              <p className="font-medium">{stageName(stage.stage)}</p>
              {stage.message && <p className="text-xs break-words text-muted">{stage.message}</p>}
              {stage.code && <code className="font-mono text-2xs text-faint">{stage.code}</code>}
            </div>
            <span className="shrink-0 text-xs text-faint tabular-nums">
              {stage.elapsed_ms < 1000 ? `${stage.elapsed_ms} ms` : formatDuration(stage.elapsed_ms / 1000)}
            </span>
          </li>
        ))}
      </ol>
      {!result.ok && <ProblemReference problem={{ requestId: result.requestId }} className="mt-2" />}
    </div>
  )
}
