import { describe, expect, it } from 'vitest'
import { ApiProblem } from '@/api/problem'
import { patiently } from './patience'

const drawing = () => new ApiProblem({ status: 503, code: 'recording_drawing', title: 'Not yet', retryAfter: 3 })

describe('segments that are still drawn', () => {
  it('are asked for again when the hub says, and not for ever', async () => {
    const waits: number[] = []
    const wait = (ms: number) => {
      waits.push(ms)
      return Promise.resolve()
    }
    let left = 2
    const load = patiently((url: string) => (left-- > 0 ? Promise.reject(drawing()) : Promise.resolve(url)), wait)
    expect(await load('/a')).toBe('/a')
    expect(waits).toEqual([3000, 3000])
    await expect(patiently(() => Promise.reject(drawing()), wait)('/b')).rejects.toMatchObject({ code: 'recording_drawing' })
    expect(waits).toHaveLength(21)
  })

  it('are asked for no more once one has left', async () => {
    const leaving = new AbortController()
    let asked = 0
    const wait = () => Promise.resolve(leaving.abort())
    const load = patiently(() => ((asked += 1), Promise.reject(drawing())), wait, leaving.signal)
    await expect(load('/a')).rejects.toMatchObject({ name: 'AbortError' })
    expect(asked).toBe(1)
  })

  it('fail at once with anything else', async () => {
    const load = patiently(() => Promise.reject(new Error('no')), () => Promise.reject(new Error('waited')))
    await expect(load('/a')).rejects.toThrow('no')
  })
})
