import type { Target } from '@/api/types'
import { Badge } from '@/components/badge'

/** Whether one could connect, or what is missing first. */
export function TargetState({ target }: { target: Target }) {
  const missing = target.host_keys.length === 0 ? 'No host key' : target.credential_ids.length === 0 ? 'No credential' : null
  if (!target.enabled) return <Badge dot>Switched off</Badge>
  return missing ? (
    <Badge tone="warning" dot>
      {missing}
    </Badge>
  ) : (
    <Badge tone="success" dot>
      Ready
    </Badge>
  )
}
