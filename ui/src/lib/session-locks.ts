/** Which sessions the windows of this browser show: each holds a lock for its own. */
const PREFIX = 'openpam.session.'

export const sessionLock = (sessionId: string): string => PREFIX + sessionId

/** The sessions that are shown in some window of this browser; `null` where it cannot tell. */
export async function sessionsShownHere(): Promise<Set<string> | null> {
  if (!('locks' in navigator)) return null
  const { held = [] } = await navigator.locks.query()
  return new Set(held.flatMap(({ name }) => (name?.startsWith(PREFIX) ? [name.slice(PREFIX.length)] : [])))
}
