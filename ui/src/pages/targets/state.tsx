import { useQuery } from '@tanstack/react-query'
import { zones } from '@/api/hub'
import type { Target } from '@/api/types'
import { Badge } from '@/components/badge'

/** Whether one could connect, or what is missing first. */
export function TargetState({ target }: { target: Target }) {
  const zone = useQuery(zones.all()).data?.find(({ id }) => id === target.zone_id)
  const missing = target.host_keys.length === 0 ? 'No host key' : target.credential_ids.length === 0 ? 'No credential' : null
  if (!target.enabled) return <Badge dot>Switched off</Badge>
  if (zone?.type === 'satellite') return <Badge tone="warning" dot>No satellite</Badge>
  if (!missing && target.group_ids.length === 0) return <Badge dot>Admins only</Badge>
  return missing ? (
    <Badge tone="warning" dot>
      {missing}
    </Badge>
  ) : (
    // Whether the machine answers is for the connection test to say.
    <Badge dot>Configured</Badge>
  )
}
