import { ChevronDown, Star, SquareTerminal } from 'lucide-react'
import { useMutation } from '@tanstack/react-query'
import { toast } from 'sonner'
import { launchTargets } from '@/api/hub'
import type { LaunchCredential, LaunchTarget } from '@/api/types'
import { Badge, EnvironmentBadge } from '@/components/badge'
import { IconButton } from '@/components/button'
import { Menu, MenuItem, MenuLabel } from '@/components/menu'
import { asProblem } from '@/components/states'
import { RelativeTime } from '@/components/time'
import { cn } from '@/lib/cn'
import { credentialHint } from '@/lib/credentials'
import { formatAddress } from '@/lib/format'

interface TargetRowProps {
  target: LaunchTarget
  onConnect: (target: LaunchTarget, credential?: LaunchCredential) => void
}

/** One target: the whole row connects; the star and the list of credentials have their own buttons. */
export function TargetRow({ target, onConnect }: TargetRowProps) {
  const favorite = useMutation({
    mutationFn: () => launchTargets.setFavorite(target.id, !target.favorite),
    onError: (error) => toast.error(asProblem(error).message),
  })
  const production = target.environment === 'production'
  const several = target.credentials.length > 1
  return (
    <li
      className="group relative flex min-h-14 items-center gap-3 border-b px-3 py-2 transition-colors last:border-b-0 hover:bg-hover/60 has-[[data-connect]:focus-visible]:bg-hover/60 sm:px-4"
    >
      {production && <span aria-hidden className="absolute inset-y-0 left-0 w-0.5 bg-danger" />}
      <span
        aria-hidden
        className={cn(
          'hidden size-8 shrink-0 place-items-center rounded-lg border bg-canvas sm:grid',
          production ? 'text-danger-text' : 'text-muted',
        )}
      >
        <SquareTerminal className="size-4" strokeWidth={1.75} />
      </span>
      <div className="min-w-0 flex-1">
        <div className="flex min-w-0 items-center gap-2">
          <button
            type="button"
            data-connect
            onClick={() => onConnect(target)}
            aria-label={`Connect to ${target.name}`}
            className="min-w-0 truncate text-sm font-medium text-fg outline-none after:absolute after:inset-0 focus-visible:after:rounded-sm focus-visible:after:outline-2 focus-visible:after:-outline-offset-2 focus-visible:after:outline-ring"
          >
            {target.name}
          </button>
          <EnvironmentBadge environment={target.environment} />
          {!target.enabled && <Badge>Switched off</Badge>}
        </div>
        <p className="truncate text-xs text-muted">
          <span className="tabular-nums">{formatAddress(target.host, target.port)}</span>
          <span className="text-faint"> · {target.zone.name}</span>
          {target.description && <span className="hidden text-faint md:inline"> · {target.description}</span>}
        </p>
      </div>
      <div className="hidden max-w-56 shrink-0 justify-end gap-1 overflow-hidden lg:flex">
        {target.tags.slice(0, 3).map((tag) => (
          <Badge key={tag} tone="outline">
            {tag}
          </Badge>
        ))}
      </div>
      <div className="hidden w-40 shrink-0 text-right md:block">
        <p className="truncate text-xs text-muted">
          {several ? `${target.credentials.length} credentials` : (target.credentials[0]?.username ?? 'No credential')}
        </p>
        <p className="text-2xs text-faint">
          {target.last_used_at ? <>Used <RelativeTime time={target.last_used_at} /></> : 'Never used'}
        </p>
      </div>
      <div className="relative z-10 flex shrink-0 items-center justify-end sm:w-14">
        {several && (
          <Menu trigger={<IconButton icon={ChevronDown} label={`Choose a credential for ${target.name}`} size="sm" bare />}>
            <MenuLabel>Log in as</MenuLabel>
            {target.credentials.map((credential) => (
              <MenuItem
                key={credential.id}
                onSelect={() => onConnect(target, credential)}
                hint={<span className="text-2xs text-faint">{credentialHint(credential)}</span>}
              >
                {credential.name}
              </MenuItem>
            ))}
          </Menu>
        )}
        <IconButton
          icon={Star}
          size="sm"
          bare
          label={target.favorite ? `Remove ${target.name} from favourites` : `Add ${target.name} to favourites`}
          aria-pressed={target.favorite}
          disabled={favorite.isPending}
          onClick={() => favorite.mutate()}
          className={cn(target.favorite ? 'text-warning [&_svg]:fill-current' : 'pointer-fine:opacity-50 pointer-fine:group-hover:opacity-100 pointer-fine:focus-visible:opacity-100')}
        />
      </div>
    </li>
  )
}
