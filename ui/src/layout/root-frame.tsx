import { Outlet } from '@tanstack/react-router'

/** What every page shares, signed in or not. */
export function RootFrame() {
  return <Outlet />
}
