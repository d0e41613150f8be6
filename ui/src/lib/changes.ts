/** What of `after` differs from `before`: sent alone, it leaves what others changed meanwhile as it is. */
export function changesOf<Body extends object>(before: object, after: Body): Partial<Body> {
  const old = before as Record<string, unknown>
  const changed = Object.entries(after).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(old[name]))
  return Object.fromEntries(changed) as Partial<Body>
}
