import { describe, expect, it } from 'vitest'
import { Engine, type Ticker } from './engine'
import type { PlayerEvent, PlayerIndex, PlayerSegment } from './format'

/** Three segments of ten seconds; each begins with a screen that says which it is. */
const EVENTS: PlayerEvent[][] = [
  [
    [0, 'o', ''],
    [0.5, 'o', 'a'],
    [0.505, 'o', 'b'],
    [1, 'r', '100x30'],
    [9, 'o', 'c'],
  ],
  [
    [10, 'o', 'd'],
    [12, 'm', 'here'],
    [13, 'o', 'e'],
  ],
  [
    [20, 'o', 'f'],
    [29, 'o', 'g'],
    [30, 'o', ''],
  ],
]
const INDEX: PlayerIndex = {
  duration: 30,
  term: { cols: 80, rows: 24 },
  segments: EVENTS.map((_, number) => ({ start: number * 10, url: `/segments/${number}` })),
  markers: [],
  commands: [],
}

function setUp({ fails = () => false }: { fails?: (url: string) => boolean } = {}) {
  const drawn: string[] = []
  const loads: string[] = []
  let now = 0
  let frame: (() => void) | null = null
  const ticker: Ticker = {
    now: () => now,
    next(callback) {
      frame = callback
      return () => {
        frame = null
      }
    },
  }
  const load = async (url: string): Promise<PlayerSegment> => {
    loads.push(url)
    if (fails(url)) throw new Error('gone')
    const number = Number(url.split('/').pop())
    return { snapshot: { cols: 80, rows: 24, init: `#${number}` }, events: EVENTS[number] ?? [] }
  }
  const engine = new Engine(INDEX, load, {
    reset: (_size, init) => drawn.push(init),
    output: (text) => drawn.push(text),
    resize: ({ cols, rows }) => drawn.push(`${cols}x${rows}`),
  }, ticker)
  /** Lets time pass in frames of 50 ms. */
  const pass = async (seconds: number) => {
    for (let left = Math.round(seconds * 20); left > 0; left -= 1) {
      now += 50
      const due = frame
      frame = null
      due?.()
      await Promise.resolve()
      await Promise.resolve()
      await Promise.resolve()
    }
  }
  const take = () => drawn.splice(0).join(' ')
  return { engine, loads, pass, take }
}

describe('seeking', () => {
  it('draws the screen of the segment and what came until then, in one piece', async () => {
    const { engine, take } = setUp()
    await engine.seek(0.6)
    expect(take()).toBe('#0 ab')
    await engine.seek(13.5)
    expect(take()).toBe('#1 de')
    await engine.seek(14)
    expect(take()).toBe('')
    await engine.seek(0)
    expect(take()).toBe('#0 ')
  })
  it('costs one segment, and the next one ahead', async () => {
    const { engine, loads } = setUp()
    await engine.seek(25)
    expect(loads).toEqual(['/segments/2'])
    await engine.seek(1)
    await engine.seek(25)
    expect(loads).toEqual(['/segments/2', '/segments/0', '/segments/1'])
  })
  it('forgets an older wish when there is a newer one', async () => {
    const { engine, take } = setUp()
    await Promise.all([engine.seek(5), engine.seek(25)])
    expect(take()).toBe('#2 f')
    expect(engine.getState()).toMatchObject({ time: 25, waiting: false })
  })
  it('stays within the recording', async () => {
    const { engine } = setUp()
    await engine.seek(-4)
    expect(engine.getState().time).toBe(0)
    await engine.seek(99)
    expect(engine.getState().time).toBe(30)
  })
  it('says why it does not go on, and does once it can', async () => {
    let broken = true
    const { engine, take } = setUp({ fails: () => broken })
    await engine.seek(5)
    expect(engine.getState()).toMatchObject({ phase: 'paused', waiting: false, error: new Error('gone') })
    broken = false
    await engine.seek(5)
    expect(engine.getState().error).toBeNull()
    expect(take()).toBe('#0 ab 100x30')
  })
})

describe('playing', () => {
  it('goes through the segments to the end', async () => {
    const { engine, pass, take } = setUp()
    engine.setSkipIdle(false)
    engine.play()
    await pass(2)
    expect(take()).toBe('#0  ab 100x30')
    await pass(20)
    expect(take()).toBe('c #1 d e #2 f')
    await pass(9)
    expect(take()).toContain('g')
    expect(engine.getState()).toMatchObject({ phase: 'ended', time: 30 })
  })
  it('begins anew after the end', async () => {
    const { engine, pass } = setUp()
    await engine.seek(30)
    engine.play()
    await pass(0.2)
    expect(engine.getState().phase).toBe('playing')
    expect(engine.getState().time).toBeLessThan(1)
  })
  it('changes speed on the way', async () => {
    const { engine, pass } = setUp()
    engine.setSkipIdle(false)
    await engine.seek(0)
    engine.play()
    await pass(1)
    engine.setSpeed(4)
    await pass(1)
    expect(engine.getState().time).toBeCloseTo(5)
    engine.setSpeed(0.5)
    await pass(1)
    expect(engine.getState().time).toBeCloseTo(5.5)
  })
  it('leaves out the middle of a pause', async () => {
    const { engine, pass, take } = setUp()
    await engine.seek(1)
    take()
    engine.play()
    await pass(1.2)
    expect(take()).toBe('c')
    expect(engine.getState().time).toBeGreaterThan(9)
  })
  it('stands still while it is paused', async () => {
    const { engine, pass } = setUp()
    await engine.seek(2)
    engine.play()
    engine.pause()
    await pass(3)
    expect(engine.getState()).toMatchObject({ time: 2, phase: 'paused' })
  })
})

describe('frames and markers', () => {
  it('steps to what is seen next and before, across segments', async () => {
    const { engine } = setUp()
    await engine.seek(0)
    const times: number[] = []
    for (const direction of [1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1] as const) {
      await engine.step(direction)
      times.push(engine.getState().time)
    }
    expect(times).toEqual([0.505, 1, 9, 10, 13, 20, 13, 10, 9, 1, 0.505])
  })
  it('finds markers in what was loaded', async () => {
    const { engine } = setUp()
    await engine.seek(11)
    expect(engine.getState().markers).toEqual([[12, 'here']])
    engine.seekMarker(1)
    expect(engine.getState().time).toBe(12)
  })
})
