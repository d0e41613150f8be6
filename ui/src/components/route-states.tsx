import { Link, useRouter, type ErrorComponentProps } from '@tanstack/react-router'
import { Compass } from 'lucide-react'
import { ApiProblem } from '@/api/problem'
import { buttonClass } from './button'
import { Mark } from './logo'
import { EmptyState, ErrorState } from './states'

/** An address that leads nowhere. */
export const NotFoundPage = () => (
  <main className="grid h-full place-items-center">
    <h1 className="sr-only">Not found</h1>
    <EmptyState
      icon={Compass}
      title="There is nothing at this address"
      action={
        <Link to="/" className={buttonClass({ variant: 'primary' })}>
          Go to the launcher
        </Link>
      }
    >
      It may have been removed, or the link is incomplete.
    </EmptyState>
  </main>
)

/** A page that could not be shown. */
export function RouteErrorPage({ error, reset }: ErrorComponentProps) {
  const router = useRouter()
  const chunk = error instanceof TypeError && /dynamically imported module|module script/i.test(error.message)
  return (
    <div className="grid h-full place-items-center">
      <ErrorState
        error={chunk ? staleBuild : error}
        onRetry={() => {
          if (chunk) window.location.reload()
          else {
            reset()
            void router.invalidate()
          }
        }}
      />
    </div>
  )
}

const staleBuild = new ApiProblem({
  status: -1,
  code: 'page_outdated',
  title: 'There is a new version',
  detail: 'The hub was updated, or this part of the page could not be loaded. Reload to go on.',
})

/** While a page is on its way. */
export const RoutePending = () => (
  <div role="status" className="grid h-full min-h-40 place-items-center">
    <Mark className="size-7 animate-shimmer" />
    <span className="sr-only">Loading</span>
  </div>
)
