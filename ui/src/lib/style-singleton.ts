/**
 * Stands in for the package `react-style-singleton`, which the scroll lock of
 * dialogs and menus uses. The original appends an inline `<style>`; this one
 * adopts a constructed style sheet, which a content policy of `style-src 'self'`
 * allows. Same exports, same behaviour: the styles are there while at least one
 * user is mounted.
 */
import { useEffect, useRef } from 'react'

/** A sheet that is adopted by the document while its use count is above zero. */
export function stylesheetSingleton() {
  let uses = 0
  let sheet: CSSStyleSheet | null = null
  return {
    add(css: string) {
      if (uses++ > 0) return
      sheet = new CSSStyleSheet()
      sheet.replaceSync(css)
      document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet]
    },
    remove() {
      if (--uses > 0 || !sheet) return
      document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet)
      sheet = null
    },
  }
}

/** A hook over one shared sheet. */
export function styleHookSingleton() {
  const sheet = stylesheetSingleton()
  return function useStyle(css: string, dynamic?: boolean) {
    // As in the original: styles follow their text only where they are said to be dynamic.
    const first = useRef(css)
    const wanted = dynamic ? css : first.current
    useEffect(() => {
      sheet.add(wanted)
      return () => sheet.remove()
    }, [wanted])
  }
}

/** A component over one shared sheet. */
export function styleSingleton() {
  const useStyle = styleHookSingleton()
  return function Sheet({ styles, dynamic }: { styles: string; dynamic?: boolean }) {
    useStyle(styles, dynamic)
    return null
  }
}
