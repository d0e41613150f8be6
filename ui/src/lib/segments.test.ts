import { describe, expect, it } from 'vitest'
import type { Recording } from '@/api/types'
import { askFrom, withKnown } from './segments'

const segment = (seq: number, hash = `hash ${seq}`) => ({ seq, hash, from_us: seq, until_us: seq + 1, records: 1, plain_bytes: 1, stored_bytes: 1 })
const recording = (from: number, count: number, hash?: string) =>
  ({ state: 'recording', segment_count: count, segments: Array.from({ length: count - from }, (_, at) => segment(from + at, hash)) }) as unknown as Recording

describe('segments of a recording that grows', () => {
  it('are asked for from the last one that is known on', () => {
    expect(askFrom(undefined)).toBe(0)
    expect(askFrom(recording(0, 0))).toBe(0)
    expect(askFrom(recording(0, 400))).toBe(399)
  })

  it('are put together, and are the same where nothing came', () => {
    const known = recording(0, 3)
    const grown = withKnown(known, 2, recording(2, 5))
    expect(grown?.segments.map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4])
    expect(withKnown(known, 2, recording(2, 3))?.segments).toBe(known.segments)
    const whole = recording(0, 7)
    expect(withKnown(known, 0, whole)).toBe(whole)
  })

  it('are read again where it is another recording, or a shorter one', () => {
    const known = recording(0, 3)
    expect(withKnown(known, 2, recording(2, 4, 'another'))).toBeNull()
    // Closed with two of them.
    expect(withKnown(known, 2, { ...recording(0, 2), segments: [] })).toBeNull()
    expect(withKnown(undefined, 2, recording(2, 4))).toBeNull()
    expect(withKnown(known, 2, { ...recording(2, 4), segment_count: 9 })).toBeNull()
  })
})
