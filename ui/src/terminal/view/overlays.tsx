import { CircleCheck, CircleSlash, Info, LoaderCircle, TriangleAlert, Unplug, X } from 'lucide-react'
import { useState } from 'react'
import type { LaunchTarget } from '@/api/types'
import { Button } from '@/components/button'
import { Field, Input } from '@/components/field'
import { ProblemReference } from '@/components/states'
import { cn } from '@/lib/cn'
import { credentialKind } from '@/lib/credentials'
import { formatBytes } from '@/lib/format'
import { inWords } from '../model/words'
import { workspace } from '../model/workspace'
import type { PaneController } from '../pane/controller'
import type { ConnectionState } from '../protocol/connection'
import type { Ending } from '../protocol/endings'
import type { Progress } from '../protocol/input-queue'
import type { NoticeMessage } from '../protocol/messages'
import { Tool } from './parts'
import { useClock } from './use-workspace'

const BANNER = 'flex shrink-0 items-center gap-2 px-3 py-1 text-xs'

/** Counts down to the next attempt. */
export function ReconnectBanner({ connection, onNow }: { connection: Extract<ConnectionState, { phase: 'waiting' }>; onNow(): void }) {
  const now = useClock(true)
  const left = connection.retryAt - now
  const kept = connection.keptUntil === null ? null : connection.keptUntil - now
  const fate =
    kept === null
      ? 'The session is kept for you'
      : kept > 0
        ? `The session is kept for you for another ${inWords(kept)}`
        : 'The time for which the session was kept is over'
  return (
    <div role="status" className={cn(BANNER, 'bg-warning-soft text-warning-text')}>
      <Unplug className="size-3.5 shrink-0" aria-hidden />
      <span className="min-w-0 flex-1 truncate">
        Connection lost. {fate}; {left > 500 ? `trying again in ${inWords(left)}` : 'trying again now'}
        {connection.attempt > 0 && ` (attempt ${connection.attempt + 1})`}.
      </span>
      <button type="button" onClick={onNow} className="rounded px-2 font-medium underline underline-offset-2 hover:bg-hover">
        Reconnect now
      </button>
    </div>
  )
}

/** The link is dead and nobody said so: what is typed now is kept, and sent when the hub answers. */
export function SilenceBanner({ since, onNow }: { since: number; onNow(): void }) {
  const now = useClock(true)
  return (
    <div role="status" className={cn(BANNER, 'bg-warning-soft text-warning-text')}>
      <Unplug className="size-3.5 shrink-0" aria-hidden />
      <span className="min-w-0 flex-1">
        No answer from the hub for {inWords(now - since)}. What you type is sent when it answers again.
      </span>
      <button type="button" onClick={onNow} className="rounded px-2 font-medium underline underline-offset-2 hover:bg-hover">
        Reconnect now
      </button>
    </div>
  )
}

/** Something the hub wants the person to know, such as the end of a window. */
export function NoticeBanner({ notice, onClose }: { notice: NoticeMessage; onClose(): void }) {
  return (
    <div role="status" className={cn(BANNER, notice.ends_at ? 'bg-warning-soft text-warning-text' : 'bg-info-soft text-info-text')}>
      <Info className="size-3.5 shrink-0" aria-hidden />
      <span className="min-w-0 flex-1">{notice.message}</span>
      <Tool icon={X} label="Dismiss" className="size-5 text-current" onClick={onClose} />
    </div>
  )
}

/** How far a big paste has come. */
export function TransferBanner({ progress }: { progress: Progress }) {
  return (
    <div role="status" className={cn(BANNER, 'bg-info-soft text-info-text')}>
      <progress value={progress.sent} max={progress.total} className="h-1 w-32 accent-accent" />
      <span className="min-w-0 flex-1 truncate">
        Pasting {formatBytes(progress.sent)} of {formatBytes(progress.total)}. Ctrl-C stops it.
      </span>
    </div>
  )
}

const CENTRE = 'absolute inset-0 z-10 grid place-items-center overflow-auto p-4'
const CARD = 'w-full max-w-sm rounded-xl bg-raised p-5 text-fg shadow-pop'

export function WaitOverlay({ name, resuming }: { name?: string; resuming: boolean }) {
  return (
    <div role="status" className={cn(CENTRE, 'pointer-events-none')}>
      <span className="flex items-center gap-2 rounded-lg bg-raised px-4 py-2.5 text-sm text-muted shadow-pop">
        <LoaderCircle className="size-4 animate-spin" aria-hidden />
        {resuming ? 'Resuming the session' : 'Connecting'}
        {name && ` ${resuming ? 'on' : 'to'} ${name}`}…
      </span>
    </div>
  )
}

const ICONS: Record<Ending['kind'], typeof Info> = {
  exit: CircleCheck,
  access: CircleSlash,
  terminated: CircleSlash,
  idle: Info,
  failed: TriangleAlert,
  lost: Unplug,
  moved: Info,
  'signed-out': Info,
}

const FINGERPRINT = /((?:[\w@.-]+ )?SHA256:[\w+/=]+)/

/** A sentence of the hub; fingerprints in it stand on lines of their own, to be compared. */
function Detail({ text }: { text: string }) {
  const parts = text.split(FINGERPRINT)
  if (parts.length === 1) return <p className="mt-0.5 text-sm break-words text-muted">{text}</p>
  return (
    <div className="mt-0.5 text-sm break-words text-muted">
      {parts.map((part, index) =>
        index % 2 === 1 ? (
          <code key={part} className="my-1 block rounded-md border border-line bg-sunken px-2 py-1 font-mono text-xs break-all text-fg">
            {part}
          </code>
        ) : (
          // oxlint-disable-next-line react/no-array-index-key -- the words between two fingerprints have no name
          <span key={index}>{part.replace(/^[,.] */, '')}</span>
        ),
      )}
    </div>
  )
}

/** Why the terminal is over, and the way on. Below what was shown; in the middle where nothing was. */
export function EndedOverlay({ pane, ending, blank }: { pane: PaneController; ending: Ending; blank: boolean }) {
  const Icon = ICONS[ending.kind]
  const bad = ending.kind === 'failed' || ending.kind === 'access' || ending.kind === 'terminated'
  return (
    <div className={cn('z-10', blank ? CENTRE : 'absolute inset-x-0 bottom-0 flex max-h-full justify-center overflow-auto p-4')}>
      <div role="alert" className={cn(CARD, FINGERPRINT.test(ending.detail) ? 'max-w-xl' : 'max-w-lg')}>
        <div className="flex gap-3">
          <Icon className={cn('mt-0.5 size-5 shrink-0', bad ? 'text-danger-text' : 'text-muted')} aria-hidden />
          <div className="min-w-0 flex-1">
            <h2 className="font-semibold">{ending.title}</h2>
            {ending.detail && <Detail text={ending.detail} />}
            {ending.code && <ProblemReference problem={{ code: ending.code, requestId: ending.requestId, sessionId: ending.sessionId }} className="mt-1.5" />}
          </div>
        </div>
        <div className="mt-4 flex flex-wrap justify-end gap-2">
          <Button onClick={() => workspace.requestClose([pane.id])}>Close</Button>
          {ending.kind === 'moved' && (
            <Button variant="primary" onClick={() => pane.takeBack()}>
              Continue here
            </Button>
          )}
          {ending.kind === 'signed-out' && (
            <Button
              variant="primary"
              onClick={() => location.assign(`/login?return_to=${encodeURIComponent(location.pathname)}`)}
            >
              Sign in
            </Button>
          )}
          {ending.kind !== 'moved' && ending.kind !== 'signed-out' && (
            <Button variant="primary" onClick={() => pane.again()}>
              {ending.kind === 'failed' ? 'Try again' : 'Connect again'}
            </Button>
          )}
        </div>
      </div>
    </div>
  )
}

/** Asks for what a target needs before a session: which credential, and why. */
export function SetupOverlay({ pane, target, asks }: { pane: PaneController; target: LaunchTarget; asks: { credential: boolean; reason: boolean } }) {
  const [credential, setCredential] = useState(pane.state.credentialId ?? target.credentials[0]?.id ?? null)
  const [reason, setReason] = useState(pane.reason ?? '')
  const missing = asks.reason && reason.trim() === ''
  return (
    <div className={CENTRE}>
      <form
        className={CARD}
        noValidate
        onSubmit={(event) => {
          event.preventDefault()
          if (missing) return
          pane.connect(credential, reason.trim() || null)
        }}
      >
        <h2 className="font-semibold">Connect to {target.name}</h2>
        {asks.credential && (
          <fieldset className="mt-3">
            <legend className="mb-1 text-xs font-medium text-muted">Log in as</legend>
            {target.credentials.map((item) => (
              <label key={item.id} className="flex h-8 items-center gap-2 rounded-md px-2 text-sm hover:bg-hover">
                <input type="radio" name="credential" autoFocus={!asks.reason && credential === item.id} checked={credential === item.id} onChange={() => setCredential(item.id)} className="accent-accent" />
                <span className="max-w-1/2 shrink-0 truncate font-mono">{item.username}</span>
                <span className="truncate text-muted">
                  {item.name}, {credentialKind[item.kind].toLowerCase()}
                </span>
              </label>
            ))}
          </fieldset>
        )}
        {asks.reason && (
          <Field className="mt-3" label="Reason" help="Kept with the session, for whoever audits it.">
            <Input
              required
              maxLength={1000}
              autoFocus
              value={reason}
              onChange={(event) => setReason(event.target.value)}
              placeholder="Ticket, incident or what you are about to do"
            />
          </Field>
        )}
        <div className="mt-4 flex justify-end gap-2">
          <Button onClick={() => workspace.requestClose([pane.id])}>Cancel</Button>
          <Button variant="primary" type="submit" disabled={missing}>
            Connect
          </Button>
        </div>
      </form>
    </div>
  )
}
