import { useMutation } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState, type ReactNode } from 'react'
import { toast } from 'sonner'
import { useMe } from '@/api/hooks'
import { sessions, signOut } from '@/api/hub'
import type { Session } from '@/api/types'
import { ConfirmDialog } from '@/components/confirm'
import { SessionsThatEnd } from '@/components/sessions-that-end'
import { asProblem } from '@/components/states'
import { queryClient } from '@/lib/query-client'
import { sessionsShownHere } from '@/lib/session-locks'

/**
 * Signs out. Terminals end with the sign-in that opened them: who has some is asked first, by `prompt`.
 * `onDone` is called when nothing is left to ask.
 */
export function useSignOut(onDone?: () => void): { begin: () => void; prompt: ReactNode } {
  const me = useMe()
  const navigate = useNavigate()
  // Which sessions end: those of this sign-in. One that no browser shows at the moment may be of this one.
  const [asking, setAsking] = useState<((session: Session) => boolean) | null>(null)
  const leave = async () => {
    const { provider_logout_url } = await signOut()
    if (provider_logout_url) window.location.assign(provider_logout_url)
    // The page goes first: what it still shows would ask again, and be told that nobody is signed in.
    else void navigate({ to: '/login', search: { error: 'signed_out' } }).then(() => queryClient.clear())
  }
  const askOrLeave = useMutation({
    mutationFn: async () => {
      const here = await sessionsShownHere()
      const ends = (session: Session) => !session.attached || here === null || here.has(session.id)
      const open = await queryClient
        .fetchInfiniteQuery({ ...sessions.list({ user_id: me.user.id, status: 'active' }), staleTime: 0 })
        .then(({ pages }) => pages.some(({ items }) => items.some(ends)))
        .catch(() => false)
      if (open) setAsking(() => ends)
      else await leave()
    },
    onError: (error) => {
      toast.error(asProblem(error).message)
      onDone?.()
    },
  })
  const close = () => {
    setAsking(null)
    onDone?.()
  }
  const prompt = asking && (
    <ConfirmDialog onClose={close} title="Sign out?" action="Sign out" onConfirm={leave}>
      Terminals of this browser end with your sign-in; those of another browser go on.
      <SessionsThatEnd of={{ user_id: me.user.id }} only={asking} />
    </ConfirmDialog>
  )
  return { begin: () => askOrLeave.mutate(), prompt }
}
