/**
 * Lets xterm.js draw under a content policy of `style-src 'self'`, which refuses
 * inline `<style>` elements and `style` attributes set as text, and allows both
 * adopted style sheets and the CSS object model.
 */
export class PolicyStyles {
  readonly #sheets = new Map<HTMLStyleElement, CSSStyleSheet>()
  readonly #observers: MutationObserver[] = []

  /** A document for the terminal's option `documentOverride`. */
  readonly document: Document = new Proxy(document, {
    get: (target, name) => {
      if (name === 'createElement') return (tag: string) => this.#adapt(target.createElement(tag))
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
  })

  dispose(): void {
    for (const observer of this.#observers) observer.disconnect()
    const own = new Set(this.#sheets.values())
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((sheet) => !own.has(sheet))
    this.#sheets.clear()
  }

  #adapt<E extends HTMLElement>(element: E): E {
    if (element instanceof HTMLStyleElement) this.#follow(element)
    else if (element instanceof HTMLSpanElement) {
      const setAttribute = element.setAttribute.bind(element)
      element.setAttribute = (name, value) => {
        if (name === 'style') element.style.cssText = value
        else setAttribute(name, value)
      }
    }
    return element
  }

  #follow(element: HTMLStyleElement): void {
    const sheet = new CSSStyleSheet()
    // Inert as an element; its text is what the adopted sheet holds.
    element.media = 'not all'
    this.#sheets.set(element, sheet)
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet]
    const observer = new MutationObserver(() => sheet.replaceSync(element.textContent))
    observer.observe(element, { childList: true, characterData: true, subtree: true })
    this.#observers.push(observer)
  }
}
