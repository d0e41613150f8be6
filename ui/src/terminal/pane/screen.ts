import { ClipboardAddon } from '@xterm/addon-clipboard'
import { FitAddon } from '@xterm/addon-fit'
import { SearchAddon } from '@xterm/addon-search'
import { UnicodeGraphemesAddon } from '@xterm/addon-unicode-graphemes'
import { WebLinksAddon } from '@xterm/addon-web-links'
import { WebglAddon } from '@xterm/addon-webgl'
import { Terminal } from '@xterm/xterm'
import { commandOf } from '../model/keymap'
import { FONTS, type TerminalPreferences } from '../model/preferences'
import { themeOf } from '../model/themes'
import type { TerminalSize } from '../protocol/messages'
import { clipboardBase64, GuardedClipboard } from './clipboard'
import { hasHardwareWebgl } from './hardware'
import { bytesOf, type ExtraKey, withControl } from './extra-keys'
import { ReplayGuard } from './replay-guard'
import { PolicyStyles } from './styles'

declare global {
  interface Window {
    /** The terminals of this page, by pane; for browser tests and for the curious. */
    __openpamTerminals?: Map<string, Terminal>
  }
}

export interface ScreenEvents {
  onInput(bytes: Uint8Array<ArrayBuffer>): void
  onSize(size: TerminalSize): void
  onTitle(title: string): void
  onBell(): void
  onPaste(text: string): void
  onControlUsed(): void
  onSelection(text: string): void
  onClipboardWrite(text: string): Promise<void>
  onFocus(): void
  onSearch(index: number, count: number): void
}

const terminals = new Map<string, Terminal>()
Object.assign(window, { __openpamTerminals: terminals })

const RESET = '\x1bc'
/** Leaves what a program that was cut off may have switched on: mouse reports, bracketed paste, colours. */
const AFRESH = '\x1b[?1000;1002;1003;1004;1006;2004l\x1b[!p\x1b[0m\r\n'
/** Leaves the screen of a full-screen program; elsewhere it would move the cursor. */
const LEAVE_ALTERNATE = '\x1b[?1049l'
const HIDE_CURSOR = '\x1b[?25l'
const encoder = new TextEncoder()
const URLS = /https?:\/\/[^\s"'<>`{}|\\^]+[^\s"'<>`{}|\\^.,:;!?)\]]/

/** One xterm.js terminal in an element of its own, which can be shown, hidden and moved without losing anything. */
export class Screen {
  readonly element = document.createElement('div')
  readonly terminal: Terminal
  readonly #id: string
  readonly #fit = new FitAddon()
  readonly #search = new SearchAddon({ highlightLimit: 2000 })
  readonly #styles = new PolicyStyles()
  readonly #guard: ReplayGuard
  readonly #resizes = new ResizeObserver(() => this.#scheduleFit())
  /** Ctrl is held for the next character. */
  control = false
  #webgl: WebglAddon | null = null
  #webglFailed = false
  #frame = 0
  #opened = false
  #disposed = false
  #resting = false

  constructor(id: string, preferences: TerminalPreferences, appearance: 'light' | 'dark', events: ScreenEvents) {
    this.#id = id
    this.element.className = 'h-full w-full'
    this.terminal = new Terminal({
      allowProposedApi: true,
      documentOverride: this.#styles.document,
      macOptionIsMeta: true,
      rightClickSelectsWord: false,
      scrollOnUserInput: true,
      // A target may write one address and lead to another: where it leads is shown before it is followed.
      linkHandler: {
        activate: (_event, uri) => openLink(uri),
        hover: (_event, uri) => {
          this.element.title = uri
        },
        leave: () => {
          this.element.title = ''
        },
      },
    })
    this.configure(preferences, appearance)
    const { terminal } = this
    terminal.loadAddon(this.#fit)
    terminal.loadAddon(this.#search)
    terminal.loadAddon(new UnicodeGraphemesAddon())
    terminal.loadAddon(new WebLinksAddon((_event, uri) => openLink(uri), { urlRegex: URLS }))
    terminal.loadAddon(new ClipboardAddon(clipboardBase64, new GuardedClipboard(events.onClipboardWrite)))
    // After the addons: a handler that is registered later is asked first.
    this.#guard = new ReplayGuard(terminal)
    terminal.onData((text) => {
      const typed = this.control ? withControl(text) : text
      if (this.control) {
        this.control = false
        events.onControlUsed()
      }
      events.onInput(encoder.encode(typed))
    })
    terminal.onBinary((text) => events.onInput(Uint8Array.from(text, (letter) => letter.charCodeAt(0) & 0xff)))
    terminal.onResize((size) => events.onSize(size))
    terminal.onTitleChange((title) => events.onTitle(title.slice(0, 120)))
    terminal.onBell(() => events.onBell())
    terminal.onSelectionChange(() => events.onSelection(terminal.getSelection()))
    this.#search.onDidChangeResults(({ resultIndex, resultCount }) => events.onSearch(resultIndex, resultCount))
    terminal.attachCustomKeyEventHandler(
      // With nobody to type to, Tab leads on to the buttons.
      (press) => commandOf(press) === null && !isBrowserPaste(press) && !(this.#resting && press.key === 'Tab'),
    )
    this.element.addEventListener(
      'paste',
      (event) => {
        event.preventDefault()
        event.stopPropagation()
        events.onPaste(event.clipboardData?.getData('text/plain') ?? '')
      },
      { capture: true },
    )
    this.element.addEventListener('focusin', () => events.onFocus())
    terminals.set(id, terminal)
  }

  /** Shows the terminal inside `parent`. */
  async show(parent: HTMLElement): Promise<void> {
    parent.replaceChildren(this.element)
    await fontReady(this.terminal)
    if (this.#disposed || this.element.parentElement !== parent) return
    if (!this.#opened) {
      this.#opened = true
      this.#styles.opening(() => this.terminal.open(this.element))
    }
    this.#resizes.observe(this.element)
    this.#useWebgl()
    this.fit()
  }

  /** Takes the terminal off the page; output goes on being parsed. */
  hide(parent: HTMLElement): void {
    if (this.element.parentElement !== parent) return
    this.#resizes.disconnect()
    this.#webgl?.dispose()
    this.#webgl = null
    this.element.remove()
  }

  configure(preferences: TerminalPreferences, appearance: 'light' | 'dark'): void {
    const { options } = this.terminal
    options.theme = themeOf(preferences.theme, appearance).colours
    options.fontFamily = FONTS[preferences.font].family
    options.fontSize = preferences.fontSize
    options.lineHeight = preferences.lineHeight
    options.cursorBlink = preferences.cursorBlink && !matchMedia('(prefers-reduced-motion: reduce)').matches
    options.screenReaderMode = preferences.screenReader
    options.scrollback = preferences.scrollback
    options.minimumContrastRatio = matchMedia('(prefers-contrast: more)').matches ? 7 : 1
    if (this.#opened) this.#scheduleFit()
  }

  /** Writes bytes of the target; `parsed` is called when they are on the screen. */
  write(bytes: Uint8Array, parsed: () => void): void {
    this.#guard.written()
    this.terminal.write(bytes, () => {
      this.#guard.parsed()
      parsed()
    })
  }

  /** What is written now was on a screen before: it is drawn, not answered. */
  replay(): void {
    this.#guard.begin()
  }

  /** Clears everything, in order with what was written before. */
  reset(): void {
    this.terminal.write(RESET)
  }

  /** Nobody is listening any more: what was shown stays, without a cursor. */
  rest(): void {
    if (this.#resting) return
    this.#resting = true
    this.terminal.options.disableStdin = true
    this.terminal.write(HIDE_CURSOR)
  }

  /** Another session begins below what was shown. */
  wake(): void {
    if (!this.#resting) return
    this.#resting = false
    this.terminal.options.disableStdin = false
    const alternate = this.terminal.buffer.active.type === 'alternate'
    this.terminal.write(alternate ? LEAVE_ALTERNATE + AFRESH : AFRESH)
  }

  /** Types a key that the person's keyboard does not have. */
  press(key: ExtraKey): void {
    this.terminal.input(bytesOf(key, this.terminal.modes.applicationCursorKeysMode))
  }

  get size(): TerminalSize {
    return { cols: this.terminal.cols, rows: this.terminal.rows }
  }

  fit(): void {
    if (!this.element.isConnected || this.element.clientWidth < 20 || this.element.clientHeight < 20) return
    this.#fit.fit()
  }

  find(text: string, forward: boolean, incremental: boolean, options: { caseSensitive: boolean; regex: boolean }): void {
    const search = {
      ...options,
      incremental,
      decorations: {
        matchBackground: '#7a6a24',
        matchOverviewRuler: '#b59a2c',
        activeMatchBackground: '#c2641c',
        activeMatchColorOverviewRuler: '#e07a2a',
      },
    }
    if (text === '' || (options.regex && !isPattern(text))) this.#search.clearDecorations()
    else if (forward) this.#search.findNext(text, search)
    else this.#search.findPrevious(text, search)
  }

  stopFinding(): void {
    this.#search.clearDecorations()
    this.terminal.clearSelection()
  }

  dispose(): void {
    this.#disposed = true
    cancelAnimationFrame(this.#frame)
    this.#resizes.disconnect()
    this.#guard.dispose()
    this.terminal.dispose()
    this.#styles.dispose()
    this.element.remove()
    terminals.delete(this.#id)
  }

  #scheduleFit(): void {
    cancelAnimationFrame(this.#frame)
    this.#frame = requestAnimationFrame(() => this.fit())
  }

  #useWebgl(): void {
    if (this.#webgl || this.#webglFailed || !hasHardwareWebgl()) return
    try {
      const webgl = new WebglAddon()
      webgl.onContextLoss(() => {
        this.#webglFailed = true
        this.#webgl = null
        webgl.dispose()
      })
      this.terminal.loadAddon(webgl)
      this.#webgl = webgl
    } catch {
      // No WebGL here: the DOM renderer is already drawing.
      this.#webglFailed = true
    }
  }
}

/** The cell size is measured once, so the font has to be there first. */
async function fontReady(terminal: Terminal): Promise<void> {
  const { fontFamily, fontSize } = terminal.options
  const patience = new Promise((resolve) => setTimeout(resolve, 1500))
  const fonts = Promise.all(
    ['normal', 'bold'].map((weight) => document.fonts.load(`${weight} ${fontSize}px ${fontFamily}`)),
  ).catch(() => undefined)
  await Promise.race([fonts, patience])
}

function isPattern(text: string): boolean {
  try {
    return new RegExp(text) instanceof RegExp
  } catch {
    return false
  }
}

/** Shift-Insert and Command-V: the browser turns them into a paste event by itself. */
function isBrowserPaste(press: KeyboardEvent): boolean {
  return press.key === 'Insert' && press.shiftKey && !press.ctrlKey
}

function openLink(uri: string): void {
  if (!/^https?:\/\//i.test(uri)) return
  window.open(uri, '_blank', 'noopener,noreferrer')
}
