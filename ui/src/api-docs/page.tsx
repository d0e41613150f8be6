import { useQuery } from '@tanstack/react-query'
import { Braces, ChevronDown, ExternalLink, SearchX } from 'lucide-react'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { flushSync } from 'react-dom'
import { openApiQuery } from '@/api/hub'
import { buttonClass } from '@/components/button'
import { SearchInput } from '@/components/filters'
import { Mark } from '@/components/logo'
import { EmptyState, ErrorState, Skeleton } from '@/components/states'
import { count } from '@/lib/format'
import { cn } from '@/lib/cn'
import { useTheme } from '@/lib/theme'
import { groupsOf, matching, typesOf, type Group, type OpenApi } from './document'
import { Method, OperationSection, TypeSection } from './parts'

/** Everything a program can ask of the hub. */
export function ReferencePage() {
  // Follows the console's choice, and the system's.
  useTheme()
  const query = useQuery(openApiQuery)
  return (
    <div className="min-h-dvh bg-canvas text-fg">
      {query.isPending && <Loading />}
      {query.isError && <ErrorState error={query.error} onRetry={() => void query.refetch()} className="py-24" />}
      {query.data && <Reference document={query.data as unknown as OpenApi} />}
    </div>
  )
}

const Loading = () => (
  <div className="mx-auto flex max-w-4xl flex-col gap-4 px-4 py-24">
    <Skeleton className="h-6 w-64" />
    <Skeleton className="h-40 w-full" />
    <Skeleton className="h-40 w-full" />
  </div>
)

function Reference({ document: openApi }: { document: OpenApi }) {
  const [text, setText] = useState<string | undefined>()
  const search = useRef<HTMLInputElement>(null)
  const groups = useMemo(() => groupsOf(openApi), [openApi])
  const types = useMemo(() => typesOf(openApi), [openApi])
  const shown = useMemo(() => matching(groups, text ?? ''), [groups, text])
  const total = groups.reduce((sum, group) => sum + group.operations.length, 0)
  const found = shown.reduce((sum, group) => sum + group.operations.length, 0)
  const showAll = useCallback(() => setText(undefined), [])
  useJumpToAddress(showAll)
  useEffect(() => {
    const focus = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement
      if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey) return
      event.preventDefault()
      search.current?.focus()
    }
    addEventListener('keydown', focus)
    return () => removeEventListener('keydown', focus)
  }, [])
  return (
    <>
      <header className="sticky top-0 z-20 border-b bg-surface">
        <div className="mx-auto flex max-w-[1400px] flex-wrap items-center gap-x-4 gap-y-2 px-4 py-2.5 sm:px-6 lg:px-8">
          <a href="/" className="flex items-center gap-2.5 rounded font-semibold text-fg">
            <Mark /> OpenPAM
          </a>
          <h1 className="text-sm text-muted">
            API reference <span className="font-mono text-xs text-faint">{openApi.info.version}</span>
          </h1>
          <div className="flex min-w-0 flex-1 basis-64 items-center justify-end gap-2">
            <SearchInput ref={search} value={text} onChange={setText} placeholder="Find an operation… ( / )" className="sm:w-80" />
            <a href="/api/openapi.json" className={cn(buttonClass(), 'max-sm:hidden')}>
              <Braces aria-hidden className="size-3.5" /> openapi.json
            </a>
          </div>
        </div>
      </header>
      <div className="mx-auto grid max-w-[1400px] gap-x-10 px-4 sm:px-6 lg:grid-cols-[17rem_minmax(0,1fr)] lg:px-8">
        <Index groups={shown} />
        <main className="min-w-0 pt-6 pb-24">
          {!text && <Introduction openApi={openApi} total={total} />}
          <p role="status" className={cn('mb-4 text-sm text-muted', !text && 'sr-only')}>
            {text && `${count(found, 'operation')} of ${total}`}
          </p>
          {text && found === 0 && (
            <EmptyState icon={SearchX} title="No operation matches">
              Try another word: part of a path, of what it does, or of a permission.
            </EmptyState>
          )}
          {shown.map((group) => (
            <section key={group.tag} aria-labelledby={`group-${group.tag}`} className="mb-10">
              <h2 id={`group-${group.tag}`} className="mb-3 scroll-mt-32 text-lg font-semibold sm:scroll-mt-20">
                {group.title}
              </h2>
              <div className="flex flex-col gap-3">
                {group.operations.map((operation) => (
                  <OperationSection key={operation.id} operation={operation} />
                ))}
              </div>
            </section>
          ))}
          {!text && (
            <section aria-labelledby="types">
              <h2 id="types" className="mb-3 scroll-mt-32 text-lg font-semibold sm:scroll-mt-20">
                Types
              </h2>
              <div className="flex flex-col gap-3">
                {types.map((type) => (
                  <TypeSection key={type.name} type={type} />
                ))}
              </div>
            </section>
          )}
        </main>
      </div>
    </>
  )
}

/** What is linked to is there only once the document has come, and no search hides it. */
function useJumpToAddress(showAll: () => void) {
  useEffect(() => {
    const jump = () => {
      const id = location.hash.slice(1)
      if (id === '') return
      // At once: what a search hid is there when it is looked for.
      if (!document.getElementById(id)) flushSync(showAll)
      const place = document.getElementById(id)
      if (place instanceof HTMLDetailsElement) place.open = true
      place?.scrollIntoView()
    }
    // The place that is the address already changes nothing there, and may be hidden all the same.
    const again = (event: MouseEvent) => {
      const link = event.target instanceof Element ? event.target.closest('a') : null
      if (link?.getAttribute('href') === location.hash && location.hash !== '') jump()
    }
    const frame = requestAnimationFrame(jump)
    addEventListener('hashchange', jump)
    addEventListener('click', again)
    return () => {
      cancelAnimationFrame(frame)
      removeEventListener('hashchange', jump)
      removeEventListener('click', again)
    }
  }, [showAll])
}

const Introduction = ({ openApi, total }: { openApi: OpenApi; total: number }) => (
  <section className="mb-8 max-w-3xl text-sm leading-relaxed text-muted [&_code]:rounded [&_code]:bg-hover [&_code]:px-1 [&_code]:font-mono [&_code]:text-xs [&_code]:text-fg">
    <p>
      {openApi.info.title}, {count(total, 'operation')}. JSON in snake_case, ids are UUIDs, times are RFC 3339 in UTC. Lists answer{' '}
      <code>{'{"items": […], "next_cursor": …}'}</code>; ask for the next page with <code>cursor</code>.
    </p>
    <p className="mt-2">
      Programs send a service account’s token, <code>Authorization: Bearer opat_…</code>. What one needs stands beside each operation. A POST with an{' '}
      <code>Idempotency-Key</code> can be sent again without being done twice. Errors are <code>application/problem+json</code> with a stable <code>code</code> and a{' '}
      <code>request_id</code>.
    </p>
  </section>
)

function Index({ groups }: { groups: Group[] }) {
  const [open, setOpen] = useState(false)
  return (
    <nav aria-label="Operations" className="min-w-0 max-lg:border-b lg:sticky lg:top-14 lg:max-h-[calc(100dvh-3.5rem)] lg:overflow-y-auto lg:py-6" data-scrollable>
      <button
        type="button"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        className="flex w-full items-center justify-between rounded py-3 text-sm font-medium lg:hidden"
      >
        Contents
        <ChevronDown aria-hidden className={cn('size-4 text-faint transition-transform', open && 'rotate-180')} />
      </button>
      <div className={cn('pb-4 lg:block', !open && 'max-lg:hidden')}>
        {groups.map((group) => (
          <div key={group.tag} className="mb-4">
            <a href={`#group-${group.tag}`} onClick={() => setOpen(false)} className="block rounded px-2 py-1 text-xs font-semibold text-fg hover:bg-hover">
              {group.title}
            </a>
            <ul>
              {group.operations.map((operation) => (
                <li key={operation.id}>
                  <a
                    href={`#${operation.id}`}
                    onClick={() => setOpen(false)}
                    title={`${operation.method} ${operation.path}`}
                    className="flex items-baseline gap-2 rounded px-2 py-1 text-xs text-muted hover:bg-hover hover:text-fg"
                  >
                    <Method method={operation.method} small />
                    <span className="min-w-0 truncate">{operation.summary.replace(/[.:].*$/, '')}</span>
                  </a>
                </li>
              ))}
            </ul>
          </div>
        ))}
        <a href="#types" onClick={() => setOpen(false)} className="block rounded px-2 py-1 text-xs font-semibold text-fg hover:bg-hover">
          Types
        </a>
        <a href="/api/openapi.json" className="mt-2 flex items-center gap-1.5 rounded px-2 py-1 text-xs text-muted hover:text-fg sm:hidden">
          <ExternalLink aria-hidden className="size-3.5" /> openapi.json
        </a>
      </div>
    </nav>
  )
}
