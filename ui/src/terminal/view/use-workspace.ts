import { useEffect, useState, useSyncExternalStore } from 'react'
import { workspace, type WorkspaceState } from '../model/workspace'
import type { PaneController, PaneState } from '../pane/controller'

export const useWorkspace = (): WorkspaceState => useSyncExternalStore(workspace.subscribe, workspace.getState)

export const usePaneState = (pane: PaneController): PaneState => useSyncExternalStore(pane.subscribe, pane.getState)

/** The time, renewed each second while `running`. */
export function useClock(running: boolean): number {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    if (!running) return undefined
    const tick = () => setNow(Date.now())
    const first = setTimeout(tick)
    const timer = setInterval(tick, 1000)
    return () => {
      clearTimeout(first)
      clearInterval(timer)
    }
  }, [running])
  return now
}
