import { Skeleton } from './states'

/** The shape of a detail page while it is read. */
export const DetailSkeleton = () => (
  <div role="status" aria-label="Loading" className="mx-auto w-full max-w-[1400px] px-4 pt-6 sm:px-8">
    <Skeleton className="mb-3 h-5 w-56" />
    <Skeleton className="mb-8 w-80" />
    <div className="grid gap-4 lg:grid-cols-[1.55fr_1fr]">
      <Skeleton className="h-72 rounded-xl" />
      <Skeleton className="h-72 rounded-xl" />
    </div>
  </div>
)
