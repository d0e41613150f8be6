/** Whether somebody is in front of this page: an unattended one must not ask the hub for ever, since each request keeps the sign-in. */
import { useSyncExternalStore } from 'react'

/** Without a key, a click or a move of the pointer for this long, nobody is there. */
export const UNATTENDED_MS = 5 * 60_000

const SIGNS = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart'] as const
const listeners = new Set<() => void>()
let last = Date.now()
let there = true
let timer: ReturnType<typeof setTimeout> | undefined

function wait() {
  clearTimeout(timer)
  timer = setTimeout(() => {
    const left = last + UNATTENDED_MS - Date.now()
    if (left > 0) wait()
    else say(false)
  }, Math.max(50, last + UNATTENDED_MS - Date.now()))
}

function say(next: boolean) {
  if (there === next) return
  there = next
  for (const listener of listeners) listener()
}

function note() {
  last = Date.now()
  if (there) return
  say(true)
  wait()
}

for (const sign of SIGNS) window.addEventListener(sign, note, { capture: true, passive: true })
wait()

/** When the person last touched something here. */
export const lastInputAt = (): number => last

export const isAttended = (): boolean => there

function subscribe(listener: () => void) {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** True while somebody is there; what renews itself does so only then. */
export const useAttended = (): boolean => useSyncExternalStore(subscribe, isAttended)
