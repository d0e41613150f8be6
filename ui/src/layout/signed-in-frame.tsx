import { useQuery } from '@tanstack/react-query'
import { Outlet } from '@tanstack/react-router'
import { useEffect } from 'react'
import { meQuery } from '@/api/hooks'
import { renewSignIn } from '@/api/hub'
import { lastInputAt } from '@/lib/attention'
import { useLiveUpdates } from '@/lib/live'
import { lastAnswerAt, queryClient } from '@/lib/query-client'
import { wantsRenewal } from '@/lib/sign-in-end'

const LOOK_EVERY_MS = 5_000

/** Everything for which somebody is signed in; keeps the sign-in of who works without asking the hub for anything. */
export function SignedInFrame() {
  useKeptSignIn()
  useLiveUpdates()
  return <Outlet />
}

function useKeptSignIn() {
  const { data: me, dataUpdatedAt } = useQuery({ ...meQuery, refetchOnMount: false, refetchOnWindowFocus: false })
  useEffect(() => {
    if (!me) return undefined
    let busy = false
    const look = async () => {
      if (busy || !wantsRenewal(me.auth_session, dataUpdatedAt, lastAnswerAt(), lastInputAt(), Date.now())) return
      busy = true
      // Whether it has ended is for the next question to find out; what merely failed is tried again.
      await renewSignIn().catch(() => queryClient.invalidateQueries({ queryKey: meQuery.queryKey }))
      busy = false
    }
    const timer = setInterval(() => void look(), LOOK_EVERY_MS)
    window.addEventListener('focus', look)
    return () => {
      clearInterval(timer)
      window.removeEventListener('focus', look)
    }
  }, [me, dataUpdatedAt])
}
