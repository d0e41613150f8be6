import {
  Activity,
  Bot,
  Boxes,
  FolderKey,
  History,
  KeyRound,
  LayoutGrid,
  MapPin,
  Network,
  RadioTower,
  ScrollText,
  Search,
  ServerCog,
  Settings2,
  SquareTerminal,
  Users,
  type LucideIcon,
} from 'lucide-react'
import type { LinkProps } from '@tanstack/react-router'
import type { Me } from '@/api/types'
import { may, type Need } from '@/lib/access'

export interface NavigationItem {
  label: string
  to: NonNullable<LinkProps['to']>
  icon: LucideIcon
  need: Need
  /** Other words one might look for in the command palette. */
  keywords?: string[]
}

interface NavigationGroup {
  label: string
  items: NavigationItem[]
}

const GROUPS: NavigationGroup[] = [
  {
    label: 'Work',
    items: [
      { label: 'Launcher', to: '/', icon: LayoutGrid, need: 'anyone', keywords: ['connect', 'home', 'open'] },
      { label: 'Terminal', to: '/terminal', icon: SquareTerminal, need: 'anyone', keywords: ['workspace', 'ssh', 'shell'] },
      { label: 'My sessions', to: '/my-sessions', icon: History, need: 'anyone', keywords: ['history'] },
    ],
  },
  {
    label: 'Evidence',
    items: [
      { label: 'Sessions', to: '/sessions', icon: Activity, need: 'see-sessions', keywords: ['active', 'end', 'terminate'] },
      { label: 'Search', to: '/search', icon: Search, need: 'search-recordings', keywords: ['find', 'commands', 'recordings', 'text'] },
      { label: 'Ledger', to: '/ledger', icon: ScrollText, need: 'see-ledger', keywords: ['audit', 'log', 'entries'] },
    ],
  },
  {
    label: 'Infrastructure',
    items: [
      { label: 'Zones', to: '/zones', icon: Network, need: 'see-infrastructure', keywords: ['network'] },
      { label: 'Sites', to: '/sites', icon: MapPin, need: 'see-infrastructure', keywords: ['location', 'satellite'] },
      { label: 'Targets', to: '/targets', icon: Boxes, need: 'see-infrastructure', keywords: ['machine', 'host', 'server'] },
      { label: 'Credentials', to: '/credentials', icon: KeyRound, need: 'see-infrastructure', keywords: ['vault', 'secret', 'password', 'key'] },
    ],
  },
  {
    label: 'System',
    items: [
      { label: 'Users', to: '/users', icon: Users, need: 'see-people', keywords: ['people', 'accounts'] },
      { label: 'Groups', to: '/groups', icon: FolderKey, need: 'see-people', keywords: ['access', 'members'] },
      { label: 'Service accounts', to: '/service-accounts', icon: Bot, need: 'see-people', keywords: ['api', 'token', 'machine'] },
      { label: 'Events', to: '/events', icon: RadioTower, need: 'see-events', keywords: ['webhooks', 'notifications', 'deliveries'] },
      { label: 'Settings', to: '/settings', icon: Settings2, need: 'see-settings', keywords: ['idle', 'timeout', 'message'] },
      { label: 'System', to: '/system', icon: ServerCog, need: 'see-settings', keywords: ['hub', 'database', 'vault', 'status'] },
    ],
  },
]

/** What pages ask for that are not in the navigation. A session is shown to whom it belongs: the hub decides. */
const ELSEWHERE: [path: string, need: Need][] = [
  ['/sessions/', 'anyone'],
  ['/setup', 'administer'],
]

/** What an address asks for; the pages below a list ask for what the list asks for. */
export function needOf(pathname: string): Need {
  const within = (path: string) => pathname === path || pathname.startsWith(path.endsWith('/') ? path : `${path}/`)
  const listed = GROUPS.flatMap(({ items }) => items.map(({ to, need }) => [to, need] as const)).filter(([path]) => path !== '/')
  return [...ELSEWHERE, ...listed].find(([path]) => within(path))?.[1] ?? 'anyone'
}

/** The pages this person may use, in the groups they are shown in. */
export const navigationFor = (me: Me): NavigationGroup[] =>
  GROUPS.map(({ label, items }) => ({ label, items: items.filter((item) => may(me, item.need)) })).filter(
    (group) => group.items.length > 0,
  )
