import type { UseQueryResult } from '@tanstack/react-query'
import { Link, type LinkProps } from '@tanstack/react-router'
import { Pencil, Trash2, Unlink } from 'lucide-react'
import type { ReactNode } from 'react'
import { hasCode } from '@/api/problem'
import { Button, buttonClass } from './button'
import { MenuItem, MoreMenu } from './menu'
import { Page } from './page'
import { EmptyState, ErrorState, Skeleton } from './states'

interface DetailProps<Item> {
  query: UseQueryResult<Item>
  /** What it is called, where it is gone: "target". */
  noun: string
  /** The list it is in. */
  list: { label: string; to: LinkProps['to'] }
  children: (item: Item) => ReactNode
}

/** The page of one thing, once it is read; also says so when it is gone, here or in another tab. */
export function Detail<Item>({ query, noun, list, children }: DetailProps<Item>) {
  const gone = hasCode(query.error, 'not_found')
  if (query.data !== undefined && !gone) return children(query.data)
  if (gone) return <Gone noun={noun} list={list} />
  if (query.isError) {
    return (
      <>
        <h1 className="sr-only">{list.label}</h1>
        <ErrorState error={query.error} onRetry={() => void query.refetch()} />
      </>
    )
  }
  return <DetailSkeleton />
}

const Gone = ({ noun, list }: Pick<DetailProps<never>, 'noun' | 'list'>) => (
    <Page title="Not there" crumbs={[list]}>
      <EmptyState
        icon={Unlink}
        title={`There is no such ${noun}`}
        action={
          <Link to={list.to} className={buttonClass({ variant: 'primary' })}>
            Show all {list.label.toLowerCase()}
          </Link>
        }
      >
        It was deleted, or the link is incomplete.
      </EmptyState>
    </Page>
)

/** The acts that most things have: to change it, and, behind the dots, to delete it. */
export const EditAndDelete = ({ ask }: { ask: (question: 'edit' | 'delete') => void }) => (
  <>
    <Button icon={Pencil} onClick={() => ask('edit')}>
      Edit
    </Button>
    <MoreMenu label="More actions">
      <MenuItem icon={Trash2} danger onSelect={() => ask('delete')}>
        Delete…
      </MenuItem>
    </MoreMenu>
  </>
)

/** The shape of a detail page while it is read. */
export const DetailSkeleton = () => (
  <div role="status" aria-label="Loading" className="mx-auto w-full max-w-[1400px] px-4 pt-6 sm:px-6 lg:px-8">
    <Skeleton className="mb-3 h-5 w-56" />
    <Skeleton className="mb-8 w-80 max-w-full" />
    <div className="grid gap-4 lg:grid-cols-[minmax(0,1.55fr)_minmax(0,1fr)]">
      <Skeleton className="h-72 rounded-xl" />
      <Skeleton className="h-72 rounded-xl" />
    </div>
  </div>
)
