import { createContext, use } from 'react'

/** The place in the top bar where a page puts the way to itself. */
export const CrumbSlot = createContext<HTMLElement | null>(null)

/** The place, once the top bar is there. */
export const useCrumbSlot = () => use(CrumbSlot)
