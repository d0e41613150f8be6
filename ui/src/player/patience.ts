import { hasCode } from '@/api/problem'

/** Attempts for one segment whose screen the hub is still drawing. */
const MOST = 20

/**
 * Loads, and asks again while the hub draws what is before: a seek far past what is indexed takes several turns. Whoever
 * left asks for nothing any more: the hub would draw for nobody.
 */
export function patiently<T>(load: (url: string) => Promise<T>, wait: (ms: number) => Promise<void>, left?: AbortSignal): (url: string) => Promise<T> {
  const attempt = async (url: string, turns: number): Promise<T> => {
    left?.throwIfAborted()
    try {
      return await load(url)
    } catch (error) {
      if (!hasCode(error, 'recording_drawing') || turns <= 1) throw error
      await wait((error.retryAfter ?? 2) * 1000)
      return attempt(url, turns - 1)
    }
  }
  return (url) => attempt(url, MOST)
}
