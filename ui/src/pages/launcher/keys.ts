type Press = Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'altKey' | 'metaKey' | 'isComposing' | 'defaultPrevented'>

const FIELD = 'input, textarea, select, [contenteditable]'
const OVER_THE_PAGE = '[role=dialog], [role=alertdialog], [role=menu], [role=listbox]'
/** Things that have a use for arrows of their own. */
const OWN_ARROWS = 'button, a, [role=tab], [tabindex="0"]'

/** What a key does on the launcher wherever the focus is: go to the search, begin one with it, or go to the first row. */
export function keyOnPage(press: Press, focused: Element | null = document.activeElement): 'search' | 'letter' | 'first' | null {
  if (press.defaultPrevented || press.isComposing || press.ctrlKey || press.altKey || press.metaKey) return null
  if (focused?.closest(FIELD) || document.querySelector(OVER_THE_PAGE)) return null
  if (press.key === '/') return 'search'
  if (press.key === 'ArrowDown') return focused?.closest(OWN_ARROWS) ? null : 'first'
  return /^[\p{L}\p{N}]$/u.test(press.key) ? 'letter' : null
}
