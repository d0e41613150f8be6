import type { Session } from '@/api/types'

/** Whether a session failed before anything was said in it: its recording is empty. */
export const neverOpened = ({ status, bytes_received, bytes_sent }: Session): boolean => status === 'failed' && bytes_received === 0 && bytes_sent === 0
