import { Outlet, useLocation } from '@tanstack/react-router'
import { Dialog } from 'radix-ui'
import { lazy, Suspense, useEffect, useState } from 'react'
import { useMe } from '@/api/hooks'
import { ErrorState } from '@/components/states'
import { may } from '@/lib/access'
import { forbidden } from '@/lib/forbidden'
import { isCommand } from '@/lib/platform'
import { Banners } from './banners'
import { CrumbSlot } from './crumb-slot'
import { needOf } from './navigation'
import { Sidebar } from './sidebar'
import { TopBar } from './top-bar'

const CommandPalette = lazy(() => import('./command-palette'))

/** Navigation on the left, the bar above, the page. */
export function AppFrame() {
  const [slot, setSlot] = useState<HTMLElement | null>(null)
  const [menu, setMenu] = useState(false)
  const [search, setSearch] = useState(false)

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (isCommand(event) && event.key.toLowerCase() === 'k') {
        event.preventDefault()
        setSearch((open) => !open)
      }
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [])

  return (
    <div className="flex h-full">
      <a href="#content" className="sr-only z-50 rounded-md bg-accent px-3 py-2 text-accent-fg focus:not-sr-only focus:absolute focus:top-2 focus:left-2">
        Skip to content
      </a>
      <aside className="hidden w-56 shrink-0 border-r bg-sunken lg:block">
        <Sidebar />
      </aside>
      <Dialog.Root open={menu} onOpenChange={setMenu}>
        <Dialog.Portal>
          <Dialog.Overlay className="fixed inset-0 z-40 animate-fade bg-scrim lg:hidden" />
          <Dialog.Content aria-describedby={undefined} className="fixed inset-y-0 left-0 z-50 w-64 max-w-[85vw] bg-sunken shadow-pop outline-none lg:hidden">
            <Dialog.Title className="sr-only">Pages</Dialog.Title>
            <Sidebar onNavigate={() => setMenu(false)} />
          </Dialog.Content>
        </Dialog.Portal>
      </Dialog.Root>
      <div className="flex min-w-0 flex-1 flex-col">
        <Banners />
        <TopBar crumbSlot={setSlot} onMenu={() => setMenu(true)} onSearch={() => setSearch(true)} />
        <main id="content" tabIndex={-1} data-page-scroll data-scrollable className="relative min-h-0 flex-1 overflow-y-auto outline-none">
          <CrumbSlot value={slot}>
            <PermittedOutlet />
          </CrumbSlot>
        </main>
      </div>
      {search && (
        <Suspense>
          <CommandPalette onClose={() => setSearch(false)} />
        </Suspense>
      )}
    </div>
  )
}

/** The page, or that it is not for this person; then nothing of it is asked from the hub. */
function PermittedOutlet() {
  const me = useMe()
  const need = useLocation({ select: ({ pathname }) => needOf(pathname) })
  if (may(me, need)) return <Outlet />
  return (
    <>
      <h1 className="sr-only">No permission</h1>
      <ErrorState error={forbidden} />
    </>
  )
}
