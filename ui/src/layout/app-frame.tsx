import { Outlet } from '@tanstack/react-router'

/** Navigation, top bar and the page. */
export function AppFrame() {
  return <Outlet />
}
