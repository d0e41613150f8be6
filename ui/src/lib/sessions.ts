import type { Session } from '@/api/types'

/** Whether a session failed before anything was said in it: its recording is empty. */
export const neverOpened = ({ status, error_code, bytes_received, bytes_sent }: Session): boolean =>
  // What was said is counted every few seconds: a hub that was lost may have shown more.
  status === 'failed' && error_code !== 'hub_lost' && bytes_received === 0 && bytes_sent === 0
