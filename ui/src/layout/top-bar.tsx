import { BookOpen, LogOut, Menu as MenuIcon, Monitor, Moon, Search, Sun, UserRound } from 'lucide-react'
import { useNavigate } from '@tanstack/react-router'
import { useMe } from '@/api/hooks'
import { IconButton } from '@/components/button'
import { Menu, MenuCheck, MenuItem, MenuLabel, MenuSeparator } from '@/components/menu'
import { Keys } from '@/components/tip'
import { roleName } from '@/lib/access'
import { initials } from '@/lib/format'
import { commandKey } from '@/lib/platform'
import { setTheme, useTheme, type ThemeChoice } from '@/lib/theme'
import { useSignOut } from './use-sign-out'

interface TopBarProps {
  crumbSlot: (element: HTMLElement | null) => void
  onMenu: () => void
  onSearch: () => void
}

/** Where one is, the way to everything else, and who one is. */
export function TopBar({ crumbSlot, onMenu, onSearch }: TopBarProps) {
  return (
    <header className="flex h-13 shrink-0 items-center gap-2 border-b px-3 sm:px-5">
      <IconButton icon={MenuIcon} label="Pages" bare onClick={onMenu} className="lg:hidden" />
      <div ref={crumbSlot} className="min-w-0 flex-1" />
      <button
        type="button"
        onClick={onSearch}
        aria-keyshortcuts="Control+K Meta+K"
        className="hidden h-8 w-64 items-center gap-2 rounded-md border bg-surface px-2.5 text-sm text-faint shadow-card transition-colors hover:border-line-strong sm:flex"
      >
        <Search aria-hidden className="size-4" />
        <span className="flex-1 text-left">Search or jump to…</span>
        <Keys>{commandKey} K</Keys>
      </button>
      <IconButton icon={Search} label="Search" bare onClick={onSearch} className="sm:hidden" />
      <PersonMenu />
    </header>
  )
}

const THEMES: { value: ThemeChoice; label: string; icon: typeof Sun }[] = [
  { value: 'system', label: 'As the system', icon: Monitor },
  { value: 'light', label: 'Light', icon: Sun },
  { value: 'dark', label: 'Dark', icon: Moon },
]

function PersonMenu() {
  const me = useMe()
  const navigate = useNavigate()
  const { choice } = useTheme()
  const name = me.user.display_name || me.user.username
  const { begin, prompt } = useSignOut()
  return (
    <>
      <Menu
        label="You"
        trigger={
          <button type="button" className="relative grid size-8 place-items-center rounded-full bg-accent-soft text-xs font-semibold text-accent-text">
            <span aria-hidden>{initials(name)}</span>
            <span className="sr-only">You: {name}</span>
          </button>
        }
      >
        <div className="max-w-64 px-2 pt-1.5 pb-2">
          <p className="truncate text-sm font-medium">{name}</p>
          <p className="truncate text-xs text-muted">{me.user.email ?? me.user.username}</p>
          <p className="mt-1 truncate text-2xs text-faint">{me.roles.map(roleName).join(', ') || 'No special role'}</p>
        </div>
        <MenuSeparator />
        <MenuItem icon={UserRound} onSelect={() => void navigate({ to: '/profile' })}>
          Your profile
        </MenuItem>
        <MenuItem icon={BookOpen} onSelect={() => window.open('/api/docs', '_blank', 'noopener')}>
          API reference
        </MenuItem>
        <MenuSeparator />
        <MenuLabel>Appearance</MenuLabel>
        {THEMES.map((theme) => (
          <MenuCheck key={theme.value} keepOpen checked={choice === theme.value} onChange={() => setTheme(theme.value)}>
            {theme.label}
          </MenuCheck>
        ))}
        <MenuSeparator />
        <MenuItem icon={LogOut} onSelect={begin}>
          Sign out
        </MenuItem>
      </Menu>
      {prompt}
    </>
  )
}
