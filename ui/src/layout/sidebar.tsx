import { Link } from '@tanstack/react-router'
import { useMe } from '@/api/hooks'
import { Mark } from '@/components/logo'
import { cn } from '@/lib/cn'
import { navigationFor } from './navigation'

/** The pages, in groups; the same on the side and in the drawer of a small screen. */
export function Sidebar({ onNavigate, className }: { onNavigate?: () => void; className?: string }) {
  const me = useMe()
  return (
    <div className={cn('flex h-full min-h-0 flex-col', className)}>
      <div className="flex h-13 shrink-0 items-center gap-2.5 px-4">
        <Mark />
        <div className="min-w-0 leading-tight">
          <p className="text-sm font-semibold tracking-tight text-fg">OpenPAM</p>
          <p className="truncate text-2xs text-faint" title={`Tenant ${me.tenant.slug}`}>
            {me.tenant.name}
          </p>
        </div>
      </div>
      <nav aria-label="Pages" data-scrollable className="min-h-0 flex-1 overflow-y-auto px-2.5 pb-4">
        {navigationFor(me).map((group) => (
          <div key={group.label} className="mt-4 first:mt-2">
            <p id={`nav-${group.label}`} className="px-2 pb-1 text-2xs font-medium text-faint">
              {group.label}
            </p>
            <ul aria-labelledby={`nav-${group.label}`} className="flex flex-col gap-px">
              {group.items.map(({ label, to, icon: Icon }) => (
                <li key={to}>
                  <Link
                    to={to}
                    onClick={onNavigate}
                    activeOptions={{ exact: to === '/', includeSearch: false }}
                    className="flex h-8 items-center gap-2.5 rounded-md px-2 text-sm text-muted transition-colors duration-100 hover:bg-hover hover:text-fg data-[status=active]:bg-hover data-[status=active]:font-medium data-[status=active]:text-fg data-[status=active]:[&_svg]:text-accent-text"
                  >
                    <Icon aria-hidden className="size-4 shrink-0" strokeWidth={1.75} />
                    {label}
                  </Link>
                </li>
              ))}
            </ul>
          </div>
        ))}
      </nav>
    </div>
  )
}
