import { cn } from '@/lib/cn'

/** The mark: a prompt in a box. */
export const Mark = ({ className }: { className?: string }) => (
  <svg viewBox="0 0 32 32" aria-hidden="true" className={cn('size-6', className)}>
    <rect width="32" height="32" rx="8" fill="var(--accent)" />
    <path d="M9 10.5 14.5 16 9 21.5M17 21.5h6" fill="none" stroke="#fff" strokeWidth="2.6" strokeLinecap="round" strokeLinejoin="round" />
  </svg>
)
