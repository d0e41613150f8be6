import { CircleAlert, Lock, RefreshCw, ServerOff, type LucideIcon } from 'lucide-react'
import type { ReactNode } from 'react'
import { ApiProblem } from '@/api/problem'
import { cn } from '@/lib/cn'
import { Button } from './button'
import { CopyButton } from './copy'

interface EmptyProps {
  icon: LucideIcon
  title: string
  children?: ReactNode
  action?: ReactNode
  className?: string
}

/** What stands where there is nothing yet: what belongs here and how to begin. */
export function EmptyState({ icon: Icon, title, children, action, className }: EmptyProps) {
  return (
    <div className={cn('flex flex-col items-center gap-1 px-6 py-16 text-center', className)}>
      <span className="mb-3 grid size-11 place-items-center rounded-xl border bg-surface shadow-card">
        <Icon aria-hidden className="size-5 text-muted" strokeWidth={1.5} />
      </span>
      <p className="text-base font-medium text-fg">{title}</p>
      {children && <div className="max-w-md text-sm text-balance text-muted">{children}</div>}
      {action && <div className="mt-4 flex flex-wrap justify-center gap-2">{action}</div>}
    </div>
  )
}

interface Reference {
  /** Left out where it stands beside already. */
  code?: string
  requestId?: string | null
  sessionId?: string | null
}

/** The code and the request id of a problem, small, for whoever is asked for help. */
export function ProblemReference({ problem: { code, requestId, sessionId }, className }: { problem: Reference; className?: string }) {
  return (
    <span className={cn('inline-flex max-w-full flex-wrap items-center gap-x-2 font-mono text-2xs text-muted', className)}>
      {code && <span className="break-all">{code}</span>}
      {requestId && (
        <span className="inline-flex max-w-full items-center gap-1">
          <span className="min-w-0 break-all">
            <span className="font-sans">Request id</span> {requestId}
          </span>
          <CopyButton text={requestId} label="Copy request id" className="size-5" />
        </span>
      )}
      {!requestId && sessionId && (
        <span className="inline-flex max-w-full items-center gap-1">
          <span className="min-w-0 break-all">
            <span className="font-sans">Session id</span> {sessionId}
          </span>
          <CopyButton text={sessionId} label="Copy session id" className="size-5" />
        </span>
      )}
    </span>
  )
}

/** What stands where something could not be read. */
export function ErrorState({ error, onRetry, className }: { error: unknown; onRetry?: () => void; className?: string }) {
  const problem = asProblem(error)
  const forbidden = problem.status === 403
  const Icon = forbidden ? Lock : problem.status === 0 ? ServerOff : CircleAlert
  return (
    <div role="alert" className={cn('flex flex-col items-center gap-1 px-6 py-16 text-center', className)}>
      <span className="mb-3 grid size-11 place-items-center rounded-xl border bg-surface shadow-card">
        <Icon aria-hidden className={cn('size-5', forbidden ? 'text-muted' : 'text-danger-text')} strokeWidth={1.5} />
      </span>
      <p className="text-base font-medium text-fg">{forbidden ? 'You may not see this' : headline(problem)}</p>
      <p className="max-w-md text-sm text-balance text-muted">
        {forbidden ? 'Your roles do not include it. An administrator can give you access.' : problem.message}
      </p>
      <ProblemReference problem={problem} className="mt-2" />
      {onRetry && !forbidden && (
        <Button icon={RefreshCw} className="mt-3" onClick={onRetry}>
          Try again
        </Button>
      )}
    </div>
  )
}

/** The hub's titles are those of HTTP: what people read is said here. */
function headline(problem: ApiProblem): string {
  if (problem.status >= 500) return 'The hub could not answer'
  if (problem.status === 404) return 'There is nothing here'
  return problem.status > 0 ? 'That did not work' : problem.title
}

/** An error inside a form or a dialog, where the person tries again, not the page. */
export function InlineProblem({ error, className }: { error: unknown; className?: string }) {
  const problem = asProblem(error)
  if (problem.status === 401 && problem.code !== 'invalid_credentials') return <SignInEnded problem={problem} className={className} />
  return (
    <div role="alert" className={cn('rounded-lg border border-danger/30 bg-danger-soft px-3 py-2.5', className)}>
      <p className="text-sm break-words text-danger-text">
        {problem.offline ? 'The hub cannot be reached. Check your connection, then try again.' : problem.message}
      </p>
      <ProblemReference problem={problem} />
    </div>
  )
}

/** What should be known before going on, and is no error. */
export const Notice = ({ children, className }: { children: ReactNode; className?: string }) => (
  <p className={cn('rounded-lg border border-warning/40 bg-warning-soft px-3 py-2.5 text-sm break-words text-warning-text', className)}>{children}</p>
)

/** The sign-in ended under a form: what was entered stays, and is saved after signing in beside it. */
function SignInEnded({ problem, className }: { problem: ApiProblem; className?: string }) {
  const back = encodeURIComponent(window.location.pathname)
  return (
    <div role="alert" className={cn('rounded-lg border border-warning/40 bg-warning-soft px-3 py-2.5 text-sm text-warning-text', className)}>
      <p>Your sign-in has ended, so nothing was done. What you entered is still here.</p>
      <p className="mt-1">
        <a href={`/login?return_to=${back}`} target="_blank" rel="noopener" className="rounded font-medium underline underline-offset-2 hover:no-underline">
          Sign in again
        </a>{' '}
        in a new tab, then save again here.
      </p>
      <ProblemReference problem={problem} />
    </div>
  )
}

/** A mistake of this page itself gets the same shape as one of the hub. */
export function asProblem(error: unknown): ApiProblem {
  if (error instanceof ApiProblem) return error
  return new ApiProblem({
    status: -1,
    code: 'page_error',
    title: 'This page failed',
    detail: 'Something went wrong in this page. Reload it; if it stays, tell your administrator.',
  })
}

/** A grey bar where text will be. */
export function Skeleton({ className }: { className?: string }) {
  return <span aria-hidden className={cn('block h-3 animate-shimmer rounded bg-hover', className)} />
}
