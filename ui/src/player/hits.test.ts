import { expect, test } from 'vitest'
import type { EngineState } from './engine'
import { placeAt, placeFrom } from './find'
import { showHit } from './hits'

test('the place one is at is the last one that came', () => {
  const places = [[1, 'a'], [2, 'b'], [2, 'c'], [5, 'd']] as const
  expect([0, 1, 2, 4.9, 5, 99].map((time) => placeAt(places, time))).toEqual([-1, 0, 2, 2, 3, 3])
})

test('the next place is around the end', () => {
  expect([placeFrom(3, -1, 1), placeFrom(3, 0, 1), placeFrom(3, 2, 1)]).toEqual([0, 1, 0])
  expect([placeFrom(3, -1, -1), placeFrom(3, 0, -1), placeFrom(3, 2, -1)]).toEqual([2, 2, 1])
})

/** A player of frames at these times, whose screen shows the line and the text from then on, until it is cleared. */
function setUp(frames: number[], { line = [Infinity, Infinity], text = [Infinity, Infinity] }: { line?: [number, number]; text?: [number, number] }) {
  const state = { time: 0, phase: 'playing', error: null } as EngineState
  const within = ([from, until]: [number, number]) => state.time >= from && state.time < until
  const steps: number[] = []
  const engine = {
    getState: () => ({ ...state }),
    pause: () => void (state.phase = 'paused'),
    seek: async (time: number) => void (state.time = time),
    step: async () => {
      state.time = frames.find((time) => time > state.time) ?? state.time
      steps.push(state.time)
    },
  }
  const marks = { shows: async () => (within(line) ? ('line' as const) : within(text) ? ('text' as const) : null) }
  return { state, steps, go: (at: number) => showHit(engine, marks, at, 'a line') }
}

test('a hit that the screen shows at its time is where the player stops, paused', async () => {
  const { state, steps, go } = setUp([1, 2, 3], { line: [2, 3] })
  expect(await go(2)).toBe(2)
  expect([state.time, state.phase, steps]).toEqual([2, 'paused', []])
})

test('one that comes to the screen a little later is waited for', async () => {
  const { go, steps } = setUp([2, 2.2, 2.4, 3], { line: [2.4, 9] })
  expect(await go(2)).toBe(2.4)
  expect(steps).toEqual([2.2, 2.4])
})

test('where the line never stands the text is enough, and where nothing does the time of the hit is', async () => {
  expect(await setUp([2, 2.2, 2.4, 3, 8], { text: [2.2, 2.4] }).go(2)).toBe(2.2)
  expect(await setUp([2, 2.2, 2.4, 3, 8], {}).go(2)).toBe(2)
  expect(await setUp([], {}).go(2)).toBe(2)
})

test('it does not look without end', async () => {
  const frames = Array.from({ length: 1000 }, (_, index) => 2 + index / 1000)
  const { steps, go } = setUp(frames, {})
  expect(await go(2)).toBe(2)
  expect(steps.length).toBeLessThan(50)
})

test('who goes elsewhere meanwhile is left there', async () => {
  const { state, go } = setUp([2, 2.2, 2.4], { line: [2.4, 3] })
  const going = go(2)
  await Promise.resolve()
  state.time = 7
  await going
  expect(state.time).toBe(7)
})
