/**
 * Lets xterm.js draw under a content policy of `style-src 'self'`, which refuses
 * inline `<style>` elements and allows adopted style sheets.
 */
export class PolicyStyles {
  readonly #sheets: CSSStyleSheet[] = []
  readonly #observers: MutationObserver[] = []

  /** A document for the terminal's option `documentOverride`. */
  readonly document: Document = new Proxy(document, {
    get: (target, name) => {
      if (name === 'createElement') {
        return (tag: string) => this.#create(tag)
      }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
  })

  /** Runs `open` of a terminal, which makes one of its sheets from the page's own document. */
  opening(open: () => void): void {
    document.createElement = (tag: string) => this.#create(tag)
    try {
      open()
    } finally {
      Reflect.deleteProperty(document, 'createElement')
    }
  }

  dispose(): void {
    for (const observer of this.#observers) observer.disconnect()
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((sheet) => !this.#sheets.includes(sheet))
  }

  #create(tag: string): HTMLElement {
    return tag === 'style' ? this.#createSheet() : Document.prototype.createElement.call(document, tag)
  }

  /** An inert element whose text becomes an adopted sheet. */
  #createSheet(): HTMLTemplateElement {
    const holder = Document.prototype.createElement.call(document, 'template') as HTMLTemplateElement
    const sheet = new CSSStyleSheet()
    this.#sheets.push(sheet)
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet]
    const observer = new MutationObserver(() => sheet.replaceSync(holder.textContent))
    observer.observe(holder, { childList: true, characterData: true, subtree: true })
    this.#observers.push(observer)
    return holder
  }
}
