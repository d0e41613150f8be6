/** Waits for conditions; there are no sleeps in the tests. */

/** Asks again until `ask` answers something other than undefined, null or false. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined | null | false> | T | undefined | null | false,
  limit = 20_000,
): Promise<T> {
  const end = Date.now() + limit
  let last: unknown
  for (;;) {
    try {
      const answer = await ask()
      if (answer) return answer
      last = undefined
    } catch (error) {
      last = error
    }
    if (Date.now() > end) {
      const why = last instanceof Error ? `: ${last.message}` : ''
      throw new Error(`not within ${limit / 1000} s: ${what}${why}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
