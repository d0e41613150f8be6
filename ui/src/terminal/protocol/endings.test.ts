import { expect, test } from 'vitest'
import { describeRefusal } from './endings'

const refusal = (code: string, detail: string) => describeRefusal({ status: 503, code, title: 'Unavailable', detail })

test('a refusal is said once: its sentence does not repeat its title', () => {
  expect(refusal('vault_sealed', 'The vault is sealed. An administrator has to open it.').detail).toBe('An administrator has to open it.')
  expect(refusal('vault_sealed', 'The vault is sealed.').detail).toBe('')
  expect(refusal('vault_sealed', 'The vault is sealed tight.').detail).toBe('The vault is sealed tight.')
  expect(refusal('host_key_mismatch', "The target's host key changed. Compare it.").detail).toBe('Compare it.')
})

test('a refusal that only a failed session tells of says which', () => {
  const ending = describeRefusal({ status: 502, code: 'host_key_unknown', title: 'Could not connect', detail: 'Nobody knows it.', sessionId: 's-1' })
  expect(ending.sessionId).toBe('s-1')
})
