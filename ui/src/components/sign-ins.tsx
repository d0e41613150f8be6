import { Monitor } from 'lucide-react'
import type { AuthSession } from '@/api/types'
import { Badge } from './badge'
import { Button } from './button'
import { RelativeTime } from './time'

/** "Firefox on Linux" out of what a browser says about itself. */
function browserName(agent: string | null): string {
  if (!agent) return 'Unknown browser'
  const browser = /Edg\//.test(agent) ? 'Edge' : /Firefox\//.test(agent) ? 'Firefox' : /Chrome\//.test(agent) ? 'Chrome' : /Safari\//.test(agent) ? 'Safari' : agent.slice(0, 40)
  const system = /Windows/.test(agent) ? 'Windows' : /Android/.test(agent) ? 'Android' : /iPhone|iPad/.test(agent) ? 'iOS' : /Mac OS/.test(agent) ? 'macOS' : /Linux/.test(agent) ? 'Linux' : null
  return system ? `${browser} on ${system}` : browser
}

/** Where someone is signed in, with a way to end each. */
export function SignIns({ items, onEnd }: { items: AuthSession[]; onEnd?: (session: AuthSession) => void }) {
  if (items.length === 0) return <p className="px-4 py-6 text-center text-sm text-faint">Not signed in anywhere.</p>
  return (
    <ul className="divide-y divide-line">
      {items.map((session) => (
        <li key={session.id} className="flex items-center gap-3 px-4 py-2.5">
          <Monitor aria-hidden className="size-4 shrink-0 text-faint" />
          <div className="min-w-0 flex-1">
            <p className="flex items-center gap-2 text-sm"><span className="truncate" title={session.user_agent ?? undefined}>{browserName(session.user_agent)}</span>{session.current && <Badge tone="success">This one</Badge>}</p>
            <p className="truncate text-xs text-faint">{session.client_ip ?? 'Unknown address'} · begun <RelativeTime time={session.created_at} /> · seen <RelativeTime time={session.last_seen_at} /></p>
          </div>
          {onEnd && !session.current && <Button size="sm" onClick={() => onEnd(session)}>Sign out</Button>}
        </li>
      ))}
    </ul>
  )
}
