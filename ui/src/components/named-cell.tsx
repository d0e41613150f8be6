import type { ReactNode } from 'react'

/** The first cell of a row: the link that the whole row follows, and a line under it. */
export const NamedCell = ({ children, under }: { children: ReactNode; under?: ReactNode }) => (
  <div className="min-w-0 flex-1">
    {children}
    {under && (
      <span className="text-data block truncate text-xs text-faint">{under}</span>
    )}
  </div>
)
