import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { Check } from 'lucide-react'
import { useState, type ReactNode } from 'react'
import { useMe } from '@/api/hooks'
import { credentials, launchTargets, targets, zones } from '@/api/hub'
import { Button, buttonClass } from '@/components/button'
import { ConnectionTestCard } from '@/components/connection-test'
import { Page } from '@/components/page'
import { ErrorState } from '@/components/states'
import { may } from '@/lib/access'
import { cn } from '@/lib/cn'
import { credentialLabel } from '@/lib/credentials'
import { forbidden } from '@/lib/forbidden'
import type { SetupSearch } from '@/router'
import { useChangeSearch } from '@/lib/use-list-search'
import { CredentialForm } from './credentials/form'
import { useConnect } from './launcher/use-connect'
import { TargetForm } from './targets/form'
import { HostKeysCard } from './targets/host-keys'
import { ZoneForm } from './zones'

const route = getRouteApi('/signed-in/frame/setup')

/** From nothing to the first connection: zone, target, host key, credential, connect. What exists already counts as done. */
export function SetupPage() {
  const me = useMe()
  const search = route.useSearch()
  const change = useChangeSearch<SetupSearch>()
  const zoneList = useQuery(zones.all())
  const targetList = useQuery(targets.all())
  const credentialList = useQuery(credentials.all())
  const [panel, setPanel] = useState<'zone' | 'target' | 'credential' | null>(null)
  const { connect, prompt } = useConnect()
  const target = targetList.data?.find(({ id }) => id === search.target) ?? targetList.data?.[0]
  const launch = useQuery({ ...launchTargets.one(target?.id ?? ''), enabled: Boolean(target) })
  if (!may(me, 'administer')) return <ErrorState error={forbidden} />
  const own = credentialList.data?.filter(({ id }) => target?.credential_ids.includes(id)) ?? []
  const unused = credentialList.data?.filter(({ id }) => !target?.credential_ids.includes(id)) ?? []
  const done = [(zoneList.data?.length ?? 0) > 0, Boolean(target), (target?.host_keys.length ?? 0) > 0, own.length > 0]
  const current = done.includes(false) ? done.indexOf(false) : done.length
  const give = (id: string) => target && targets.update(target.id, { credential_ids: [...target.credential_ids, id] }).then(() => launch.refetch())
  const steps: { title: string; about: string; body: ReactNode }[] = [
    { title: 'Name the network', about: 'A zone is a network that the hub reaches. Start with the one it is in.', body: <Button variant="primary" onClick={() => setPanel('zone')}>Create a zone</Button> },
    { title: 'Add a target', about: 'The machine to connect to: its address, its zone, the groups that may use it.', body: <Button variant="primary" onClick={() => setPanel('target')}>Create a target</Button> },
    { title: 'Trust its host key', about: 'So that nobody can stand in for it: scan it, compare, trust.', body: target && <HostKeysCard target={target} editable /> },
    {
      title: 'Give it a credential', about: 'How the hub logs in. The secret goes into the vault and stays there.',
      body: (
        <div className="flex flex-wrap gap-2">
          <Button variant="primary" onClick={() => setPanel('credential')}>Create a credential</Button>
          {unused.slice(0, 4).map((credential) => <Button key={credential.id} onClick={() => void give(credential.id)}>Use {credentialLabel(credential)}</Button>)}
        </div>
      ),
    },
    {
      title: 'Connect', about: 'Try it, then open the first terminal.',
      body: target && (
        <div className="flex flex-col items-start gap-3">
          <div className="w-full"><ConnectionTestCard choice="Credential" options={own.map((credential) => ({ id: credential.id, label: credentialLabel(credential) }))} run={(id) => targets.test(target.id, id)} /></div>
          {launch.data && <Button variant="primary" size="lg" onClick={() => connect(launch.data)}>Open a terminal on {target.name}</Button>}
        </div>
      ),
    },
  ]
  return (
    <Page narrow title="Set up" description="Five steps to the first connection. You can leave and come back; what is done stays done." actions={<Link to="/" className={buttonClass()}>Later</Link>}>
      <ol className="flex flex-col">
        {steps.map(({ title, about, body }, index) => {
          const finished = done[index] === true
          const active = index === current
          return (
            <li key={title} aria-current={active ? 'step' : undefined} className="relative flex gap-4 pb-7 not-last:before:absolute not-last:before:top-8 not-last:before:bottom-1 not-last:before:left-3.5 not-last:before:w-px not-last:before:bg-line">
              <span className={cn('grid size-7 shrink-0 place-items-center rounded-full border text-xs font-semibold', finished ? 'border-transparent bg-success-soft text-success-text' : active ? 'border-accent bg-accent text-accent-fg' : 'text-faint')}>
                {finished ? <Check aria-label="Done" className="size-4" /> : index + 1}
              </span>
              <div className="min-w-0 flex-1 pt-0.5">
                <h2 className={cn('text-base font-medium', !active && !finished && 'text-muted')}>{title}</h2>
                <p className="text-sm text-muted">{about}</p>
                {active && <div className="mt-3">{body}</div>}
              </div>
            </li>
          )
        })}
      </ol>
      {panel === 'zone' && <ZoneForm zone={null} onClose={() => setPanel(null)} />}
      {panel === 'target' && <TargetForm target={null} zoneId={zoneList.data?.[0]?.id} onClose={() => setPanel(null)} onCreated={(saved) => change({ target: saved.id })} />}
      {panel === 'credential' && <CredentialForm credential={null} onClose={() => setPanel(null)} onCreated={(saved) => void give(saved.id)} />}
      {prompt}
    </Page>
  )
}
