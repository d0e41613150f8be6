import { expect, it } from 'vitest'
import { groups } from './hub'

it('a group’s members and the groups are not one list', () => {
  const keys = [groups.list(), groups.members('a'), groups.members('b')].map(({ queryKey }) => JSON.stringify(queryKey))
  expect(new Set(keys).size).toBe(3)
})
