import { useInfiniteQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { Command } from 'cmdk'
import { LogOut, Moon, Sun, SunMoon, TerminalSquare, UserRound, type LucideIcon } from 'lucide-react'
import { Dialog } from 'radix-ui'
import { useDeferredValue, useState, type ReactNode } from 'react'
import { useMe } from '@/api/hooks'
import { launchTargets } from '@/api/hub'
import { EnvironmentBadge } from '@/components/badge'
import { Keys } from '@/components/tip'
import { formatAddress } from '@/lib/format'
import { setTheme } from '@/lib/theme'
import { useConnect } from '@/pages/launcher/use-connect'
import { navigationFor } from './navigation'
import { useSignOut } from './use-sign-out'

/** Every page and every target, found by typing. Opens with Ctrl/Cmd-K. */
export default function CommandPalette({ onClose }: { onClose: () => void }) {
  const me = useMe()
  const navigate = useNavigate()
  const { connect, prompt, asking } = useConnect(onClose)
  const signingOut = useSignOut(onClose)
  const [text, setText] = useState('')
  const query = useDeferredValue(text.trim())
  const targets = useInfiniteQuery(launchTargets.list({ q: query || undefined, sort: query ? 'name' : 'recent' }))
  const listed = targets.data?.pages[0]?.items ?? []
  const used = query ? [] : listed.filter((target) => target.last_used_at)
  const found = (used.length > 0 ? used : listed).slice(0, 12)
  const first = found[0]?.id
  const [moved, setMoved] = useState<{ first?: string; to: string }>({ to: '' })
  // The targets come after the pages: what stands first then is what Enter opens.
  const chosen = moved.first === first ? moved.to : `target ${first}`
  const go = (act: () => unknown) => () => {
    onClose()
    act()
  }

  if (asking) return prompt
  if (signingOut.prompt) return signingOut.prompt
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 z-40 animate-fade bg-scrim" />
        <Dialog.Content
          aria-describedby={undefined}
          className="fixed top-[12dvh] left-1/2 z-50 w-[calc(100vw-1.5rem)] max-w-xl -translate-x-1/2 animate-fade overflow-hidden rounded-xl bg-raised shadow-pop outline-none"
        >
          <Dialog.Title className="sr-only">Search or jump to</Dialog.Title>
          <Command loop label="Search or jump to" filter={matches} value={chosen} onValueChange={(to) => setMoved({ first, to })}>
            <Command.Input
              autoFocus
              value={text}
              onValueChange={setText}
              placeholder="Type a target or a page…"
              className="h-12 w-full border-b bg-transparent px-4 text-base outline-none"
            />
            <Command.List data-scrollable className="max-h-[min(24rem,60dvh)] overflow-y-auto p-1.5 [&_[cmdk-group-heading]]:px-2.5 [&_[cmdk-group-heading]]:py-1.5 [&_[cmdk-group-heading]]:text-2xs [&_[cmdk-group-heading]]:font-medium [&_[cmdk-group-heading]]:text-faint">
              <Command.Empty className="py-10 text-center text-sm text-muted">
                {targets.isFetching ? 'Searching…' : `Nothing is called “${text}”.`}
              </Command.Empty>
              {found.length > 0 && (
                <Command.Group heading={used.length > 0 ? 'Recent targets' : 'Targets'}>
                  {found.map((target) => (
                    <Item
                      key={target.id}
                      value={`target ${target.id}`}
                      keywords={[target.name, target.host, target.zone.name, ...target.tags]}
                      icon={TerminalSquare}
                      onSelect={() => connect(target)}
                      hint={<EnvironmentBadge environment={target.environment} />}
                    >
                      {target.name}
                      <span className="ml-2 text-xs text-muted">{formatAddress(target.host, target.port)}</span>
                    </Item>
                  ))}
                </Command.Group>
              )}
              {navigationFor(me).map((group) => (
                <Command.Group key={group.label} heading={group.label}>
                  {group.items.map((item) => (
                    <Item
                      key={item.to}
                      value={`page ${item.label}`}
                      keywords={[item.label, ...(item.keywords ?? [])]}
                      icon={item.icon}
                      onSelect={go(() => navigate({ to: item.to }))}
                    >
                      {item.label}
                    </Item>
                  ))}
                </Command.Group>
              ))}
              <Command.Group heading="You">
                <Item value="page profile" keywords={['Your profile', 'password', 'sign-ins']} icon={UserRound} onSelect={go(() => navigate({ to: '/profile' }))}>
                  Your profile
                </Item>
                <Item value="sign out" keywords={['Sign out', 'log out', 'leave']} icon={LogOut} onSelect={signingOut.begin}>
                  Sign out
                </Item>
                <Item value="theme dark" keywords={['Use the dark theme', 'appearance']} icon={Moon} onSelect={go(() => setTheme('dark'))}>
                  Use the dark theme
                </Item>
                <Item value="theme light" keywords={['Use the light theme', 'appearance']} icon={Sun} onSelect={go(() => setTheme('light'))}>
                  Use the light theme
                </Item>
                <Item value="theme system" keywords={['Follow the system’s theme', 'appearance']} icon={SunMoon} onSelect={go(() => setTheme('system'))}>
                  Follow the system’s theme
                </Item>
              </Command.Group>
            </Command.List>
            <footer className="flex items-center gap-3 border-t px-3 py-2 text-2xs text-faint">
              <span><Keys>↑</Keys> <Keys>↓</Keys> choose</span>
              <span><Keys>Enter</Keys> open</span>
              <span><Keys>Esc</Keys> close</span>
            </footer>
          </Command>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}

/** Every word typed must begin or be part of a name or keyword; the internal value is not searched. */
function matches(_value: string, search: string, keywords: string[] = []): number {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean)
  const text = keywords.join(' ').toLowerCase()
  if (!words.every((word) => text.includes(word))) return 0
  return words.every((word) => (keywords[0] ?? '').toLowerCase().startsWith(word)) ? 1 : 0.5
}

interface ItemProps {
  value: string
  keywords: string[]
  icon: LucideIcon
  onSelect: () => void
  hint?: ReactNode
  children: ReactNode
}

const Item = ({ icon: Icon, children, hint, ...rest }: ItemProps) => (
  <Command.Item {...rest} className="flex h-9 cursor-default items-center gap-2.5 rounded-md px-2.5 text-sm data-[selected=true]:bg-hover">
    <Icon aria-hidden className="size-4 shrink-0 text-faint" strokeWidth={1.75} />
    <span className="min-w-0 flex-1 truncate">{children}</span>
    {hint}
  </Command.Item>
)
