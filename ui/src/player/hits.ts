/** From one place that was found to the next, so that it is on the screen when the player stops there. */
import { useCallback, useEffect, useRef, useState } from 'react'
import type { Engine } from './engine'
import { placeAt, placeFrom, type Found } from './find'
import type { Marks } from './marks'

/** How far behind its time a hit is looked for: the screen may come a little after the text. */
const LOOK_SECONDS = 1.5
const LOOK_FRAMES = 40
/** An address that is this near to a hit is one of that hit. */
const SAME_SECONDS = 0.15

interface Stop {
  hits: Found['hits']
  index: number
  /** Where it is on the screen; none while the player is on its way. */
  time: number | null
}

type Player = Pick<Engine, 'getState' | 'pause' | 'seek' | 'step'>

/** Goes to a hit, paused, and on to the frame that shows its line; answers with the time. */
export async function showHit(engine: Player, marks: Pick<Marks, 'shows'>, at: number, line: string): Promise<number> {
  engine.pause()
  await engine.seek(at)
  let here = engine.getState().time
  let best: number | null = null
  const undisturbed = () => engine.getState().time === here && engine.getState().phase !== 'playing' && engine.getState().error === null
  for (let frame = 0; frame < LOOK_FRAMES && undisturbed(); frame += 1) {
    const shown = await marks.shows(line)
    if (!undisturbed() || shown === 'line') return here
    if (shown === 'text') best ??= here
    if (here > at + LOOK_SECONDS) break
    await engine.step(1)
    if (engine.getState().time === here) break
    here = engine.getState().time
  }
  if (!undisturbed()) return here
  // It went by between two frames: where the text stands at all, or where it came.
  await engine.seek(best ?? at)
  return engine.getState().time
}

interface Options {
  engine: Engine | null
  marks: Marks | null
  found: Found
  find: string | undefined
  time: number
  /** The time that the address names. */
  linked: number
}

/** The hit one is at, and the way to the others. */
export function useHits({ engine, marks, found, find, time, linked }: Options) {
  const [stop, setStop] = useState<Stop | null>(null)
  const going = useRef(0)
  const { hits } = found
  const stopped = stop !== null && stop.hits === hits && (stop.time === null || Math.abs(stop.time - time) < 0.001)
  const at = stopped ? stop.index : placeAt(hits, time)

  const goTo = useCallback(
    async (index: number) => {
      const hit = hits[index]
      if (!engine || !marks || !hit) return
      going.current += 1
      const mine = going.current
      setStop({ hits, index, time: null })
      marks.mark(find?.trim() ?? '', hit[1])
      const shownAt = await showHit(engine, marks, hit[0], hit[1])
      if (mine === going.current) setStop({ hits, index, time: shownAt })
    },
    [engine, marks, hits, find],
  )
  const go = (direction: 1 | -1) => {
    if (hits.length > 0) void goTo(placeFrom(hits.length, at, direction))
  }

  const some = hits.length > 0
  useEffect(() => marks?.mark(some ? (find?.trim() ?? '') : ''), [marks, find, some])

  // What was looked for just now is gone to when it is found; an address leads to the hit that it is of.
  const asked = useRef(false)
  const handled = useRef<string | undefined>(undefined)
  const now = useRef({ time, linked })
  useEffect(() => {
    now.current = { time, linked }
  })
  useEffect(() => {
    if (find === undefined) {
      handled.current = undefined
      asked.current = false
    }
    if (find === undefined || handled.current === find || hits.length === 0 || !engine || !marks) return
    handled.current = find
    const index = asked.current
      ? Math.max(0, hits.findIndex(([seconds]) => seconds >= now.current.time))
      : hits.findIndex(([seconds]) => Math.abs(seconds - now.current.linked) < SAME_SECONDS)
    asked.current = false
    if (index >= 0) void goTo(index)
  }, [find, hits, engine, marks, goTo])

  return { at, go, ask: () => (asked.current = true) }
}
