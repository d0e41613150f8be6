/** What was entered somewhere and not saved yet; pages are not left for it without being asked. */
let forms = 0

/** Counts a form with changes until the answer is called. */
export function holdUnsaved(): () => void {
  forms += 1
  return () => {
    forms -= 1
  }
}

/** Whether leaving the page now would lose something. */
export const hasUnsaved = (): boolean => forms > 0
