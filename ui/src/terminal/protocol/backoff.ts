const FIRST_MILLISECONDS = 500
const LONGEST_MILLISECONDS = 15_000

/**
 * The pause before reconnect number `attempt` (from 0), with full jitter: evenly
 * between nothing and an exponentially growing bound, so that a thousand pages
 * that lost the same hub do not return in the same instant.
 */
export function reconnectDelay(attempt: number, random: () => number): number {
  const bound = Math.min(LONGEST_MILLISECONDS, FIRST_MILLISECONDS * 2 ** Math.min(attempt, 16))
  return Math.round(bound * random())
}
