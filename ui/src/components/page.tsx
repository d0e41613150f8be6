import { Link, type LinkProps } from '@tanstack/react-router'
import { ChevronRight } from 'lucide-react'
import { Tabs as RadixTabs } from 'radix-ui'
import { Fragment, useEffect, type ReactNode } from 'react'
import { createPortal } from 'react-dom'
import { useCrumbSlot } from '@/layout/crumb-slot'
import { cn } from '@/lib/cn'

/** A reference to another page, in running text. */
export const LINK = 'min-w-0 rounded text-accent-text break-words hover:underline'

export interface Crumb {
  label: string
  to?: LinkProps['to']
}

interface PageProps {
  title: string
  /** The way here; the page itself is added at the end. */
  crumbs?: Crumb[]
  badge?: ReactNode
  description?: ReactNode
  /** The one primary act, and at most two more. */
  actions?: ReactNode
  /** For pages that are read rather than scanned. */
  narrow?: boolean
  children: ReactNode
}

/** A page of the application: title, acts, content. Sets the window's title and the way back. */
export function Page({ title, crumbs, badge, description, actions, narrow, children }: PageProps) {
  const slot = useCrumbSlot()
  useEffect(() => {
    document.title = `${title} · OpenPAM`
  }, [title])
  return (
    <div className="mx-auto flex w-full max-w-[1400px] flex-col px-4 pt-5 pb-16 sm:px-6 lg:px-8">
      {slot && createPortal(<Crumbs crumbs={[...(crumbs ?? []), { label: title }]} />, slot)}
      <header className={cn('mb-5 flex flex-wrap items-start gap-x-4 gap-y-3', narrow && 'max-w-4xl')}>
        <div className="min-w-0 flex-1 basis-64">
          <div className="flex min-w-0 flex-wrap items-center gap-x-3 gap-y-1">
            <h1 className="text-data min-w-0 text-xl font-semibold tracking-tight break-words text-fg">{title}</h1>
            {badge}
          </div>
          {description && <div className="text-data mt-0.5 max-w-2xl text-sm break-words text-muted">{description}</div>}
        </div>
        {actions && <div className="flex flex-wrap items-center gap-2">{actions}</div>}
      </header>
      {narrow ? <div className="max-w-4xl">{children}</div> : children}
    </div>
  )
}

function Crumbs({ crumbs }: { crumbs: Crumb[] }) {
  return (
    <nav aria-label="Breadcrumbs" className="flex min-w-0 items-center gap-1 text-sm">
      {crumbs.map((crumb, index) => (
        <Fragment key={crumb.label}>
          {index > 0 && <ChevronRight aria-hidden className="size-3.5 shrink-0 text-faint" />}
          {crumb.to ? (
            <Link to={crumb.to} className="shrink-0 rounded px-1 text-muted hover:text-fg">
              {crumb.label}
            </Link>
          ) : (
            <span aria-current={index === crumbs.length - 1 ? 'page' : undefined} className="truncate px-1 text-fg">
              {crumb.label}
            </span>
          )}
        </Fragment>
      ))}
    </nav>
  )
}

/** A framed part of a page. */
export function Card({ title, description, actions, children, className, flush }: { title?: string; description?: ReactNode; actions?: ReactNode; children: ReactNode; className?: string; flush?: boolean }) {
  return (
    <section className={cn('min-w-0 rounded-xl border bg-surface shadow-card', className)}>
      {title && (
        <header className={cn('flex min-h-12 flex-wrap items-center gap-x-3 gap-y-1 px-4 py-2', (flush || description) && 'border-b')}>
          <div className="min-w-0 flex-1">
            <h2 className="text-sm font-semibold text-fg">{title}</h2>
            {description && <p className="text-xs text-muted">{description}</p>}
          </div>
          {actions}
        </header>
      )}
      <div className={cn(!flush && 'px-4 pb-4', !flush && (!title || description) && 'pt-4')}>{children}</div>
    </section>
  )
}

/** Facts about a thing: name on the left, value on the right. */
export function Facts({ children }: { children: ReactNode }) {
  return <dl className="divide-y divide-line text-sm">{children}</dl>
}

/** One fact; a missing value is shown as a dash, never as nothing. */
export function Fact({ label, children }: { label: string; children: ReactNode }) {
  const missing = children === null || children === undefined || children === '' || children === false
  return (
    <div className="grid grid-cols-1 gap-x-4 py-2 last:pb-0 sm:grid-cols-[9.5rem_minmax(0,1fr)]">
      <dt className="text-muted">{label}</dt>
      <dd className="text-data flex min-w-0 flex-wrap items-center gap-1.5 break-words text-fg">{missing ? <span className="text-faint">–</span> : children}</dd>
    </div>
  )
}

/** Two columns on wide screens: what a thing is, and what happened with it. */
export const Columns = ({ main, side }: { main: ReactNode; side: ReactNode }) => (
  <div className="grid gap-4 lg:grid-cols-[minmax(0,1.55fr)_minmax(0,1fr)]">
    <div className="flex min-w-0 flex-col gap-4">{main}</div>
    <div className="flex min-w-0 flex-col gap-4">{side}</div>
  </div>
)

/** Views of one list that live in the address. */
export function Tabs<Value extends string>({ value, onChange, tabs, label }: { value: Value; onChange: (value: Value) => void; tabs: { value: Value; label: ReactNode }[]; label: string }) {
  return (
    <RadixTabs.Root value={value} onValueChange={(next) => onChange(next as Value)}>
      <RadixTabs.List aria-label={label} className="inline-flex gap-0.5 rounded-lg bg-hover p-0.5">
        {tabs.map((tab) => (
          <RadixTabs.Trigger
            key={tab.value}
            value={tab.value}
            aria-controls={undefined}
            className="h-7 rounded-md px-3 text-sm text-muted transition-colors hover:text-fg data-[state=active]:bg-surface data-[state=active]:font-medium data-[state=active]:text-fg data-[state=active]:shadow-card dark:data-[state=active]:bg-pressed"
          >
            {tab.label}
          </RadixTabs.Trigger>
        ))}
      </RadixTabs.List>
    </RadixTabs.Root>
  )
}
