/** The rules most forms share, in words a person understands. Unicode is welcome; the hub has the last word. */
import { z } from 'zod'

// The content policy forbids what zod would generate and run to be faster.
z.config({ jitless: true })

export const nameRule = z.string().trim().min(1, 'Give it a name.').max(200, 'At most 200 characters.')
export const descriptionRule = z.string().trim().max(2000, 'At most 2,000 characters.')
export const passwordRule = z.string().min(12, 'This is too short.').max(256, 'At most 256 characters.')
export const rolesRule = z.array(z.enum(['admin', 'operator', 'auditor']))

/** What the hub takes for "nothing". */
export const orNull = (text: string): string | null => (text.trim() === '' ? null : text.trim())
