import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import type { Named } from '@/api/types'
import { Button } from './button'
import { LINK } from './page'

const SHOWN = 20

/** Targets by name, the first of them at once. */
export function TargetLinks({ targets }: { targets: Named[] }) {
  const [all, setAll] = useState(false)
  return (
    <>
      <ul className="grid gap-x-4 gap-y-1.5 text-sm sm:grid-cols-2">
        {(all ? targets : targets.slice(0, SHOWN)).map((target) => (
          <li key={target.id} className="flex min-w-0">
            <Link to="/targets/$id" params={{ id: target.id }} className={LINK}>
              {target.name}
            </Link>
          </li>
        ))}
      </ul>
      {!all && targets.length > SHOWN && (
        <Button size="sm" className="mt-3" onClick={() => setAll(true)}>
          Show all {targets.length.toLocaleString('en')}
        </Button>
      )}
    </>
  )
}
