import type { LucideIcon } from 'lucide-react'
import type { ReactNode } from 'react'
import type { Environment, SessionStatus } from '@/api/types'
import { roleName } from '@/lib/access'
import { cn } from '@/lib/cn'

const TONES = {
  neutral: 'bg-hover text-muted',
  outline: 'border border-line text-muted',
  accent: 'bg-accent-soft text-accent-text',
  success: 'bg-success-soft text-success-text',
  warning: 'bg-warning-soft text-warning-text',
  danger: 'bg-danger-soft text-danger-text',
  info: 'bg-info-soft text-info-text',
}
const DOTS = {
  neutral: 'bg-faint',
  outline: 'bg-faint',
  accent: 'bg-accent',
  success: 'bg-success',
  warning: 'bg-warning',
  danger: 'bg-danger',
  info: 'bg-info',
}

export type Tone = keyof typeof TONES

interface BadgeProps {
  tone?: Tone
  icon?: LucideIcon
  dot?: boolean
  /** The dot breathes: this is happening now. */
  live?: boolean
  className?: string
  children: ReactNode
}

/** A short state or kind. */
export function Badge({ tone = 'neutral', icon: Icon, dot, live, className, children }: BadgeProps) {
  return (
    <span
      className={cn(
        'inline-flex h-5 max-w-full shrink-0 items-center gap-1.5 rounded-md px-1.5 text-2xs font-medium whitespace-nowrap',
        TONES[tone],
        className,
      )}
    >
      {dot && <span aria-hidden className={cn('size-1.5 shrink-0 rounded-full', DOTS[tone], live && 'animate-shimmer')} />}
      {Icon && <Icon aria-hidden className="size-3 shrink-0" />}
      <span className="truncate">{children}</span>
    </span>
  )
}

/** Roles, the one that may do everything set apart; `byGroup` are those that only a group gives. */
export const RoleBadges = ({ roles, byGroup }: { roles: string[]; byGroup?: string[] }) => (
  <span className="flex min-w-0 flex-wrap gap-1">
    {roles.map((role) => (
      <Badge key={role} tone={role === 'admin' ? 'accent' : 'neutral'}>
        {roleName(role)}
        {byGroup?.includes(role) && ' (by group)'}
      </Badge>
    ))}
  </span>
)

/** Whether someone or something is switched on. */
export const EnabledBadge = ({ enabled }: { enabled: boolean }) =>
  enabled ? (
    <Badge tone="success" dot>
      Enabled
    </Badge>
  ) : (
    <Badge dot>Disabled</Badge>
  )

const SESSION: Record<SessionStatus, { tone: Tone; label: string }> = {
  active: { tone: 'success', label: 'Active' },
  completed: { tone: 'neutral', label: 'Completed' },
  failed: { tone: 'danger', label: 'Failed' },
  terminated: { tone: 'warning', label: 'Ended early' },
}

/** The state of a session. */
export function SessionBadge({ status }: { status: SessionStatus }) {
  const { tone, label } = SESSION[status] ?? { tone: 'neutral', label: status }
  return (
    <Badge tone={tone} dot live={status === 'active'}>
      {label}
    </Badge>
  )
}

const ENVIRONMENTS: Record<Environment, { tone: Tone; label: string }> = {
  production: { tone: 'danger', label: 'Production' },
  staging: { tone: 'warning', label: 'Staging' },
  development: { tone: 'info', label: 'Development' },
}

/** What a target is for; production is red everywhere. */
export function EnvironmentBadge({ environment }: { environment: Environment | null | undefined }) {
  if (!environment) return null
  const { tone, label } = ENVIRONMENTS[environment] ?? { tone: 'neutral', label: environment }
  return <Badge tone={tone}>{label}</Badge>
}
