import { UnicodeGraphemesAddon } from '@xterm/addon-unicode-graphemes'
import { Terminal } from '@xterm/xterm'
import { FONTS, type TerminalPreferences } from '../model/preferences'
import { themeOf } from '../model/themes'
import { ReplayGuard } from '../pane/replay-guard'
import { PolicyStyles } from '../pane/styles'
import type { TerminalSize } from '../protocol/messages'
import type { WatchSink } from '../protocol/watch-connection'

const RESET = '\x1bc'
const SMALLEST_FONT = 2
/** Below this size nothing can be read: what does not fit is scrolled to instead. */
const READABLE_FONT = 9
const FIT_ATTEMPTS = 12
const encoder = new TextEncoder()

/**
 * A terminal that shows somebody else's session: at the size of theirs, in letters as large as fit and can be
 * read (or, where that is asked for, so small that all fits), and without an answer to what programs ask, because theirs answers.
 */
export class WatchScreen implements WatchSink {
  readonly terminal: Terminal
  readonly #parent: HTMLElement
  readonly #styles = new PolicyStyles()
  readonly #guard: ReplayGuard
  readonly #resizes = new ResizeObserver(() => this.#scheduleFit())
  readonly #largest: number
  readonly #onFit: (fits: boolean) => void
  readonly #onSize: (size: TerminalSize) => void
  #whole = false
  #frame = 0

  constructor(parent: HTMLElement, preferences: TerminalPreferences, appearance: 'light' | 'dark', onInput: (bytes: Uint8Array<ArrayBuffer>) => void, onFit: (fits: boolean) => void, onSize: (size: TerminalSize) => void) {
    this.#parent = parent
    this.#onFit = onFit
    this.#onSize = onSize
    this.#largest = preferences.fontSize
    this.terminal = new Terminal({
      allowProposedApi: true,
      documentOverride: this.#styles.document,
      disableStdin: true,
      theme: themeOf(preferences.theme, appearance).colours,
      fontFamily: FONTS[preferences.font].family,
      fontSize: preferences.fontSize,
      lineHeight: preferences.lineHeight,
      screenReaderMode: preferences.screenReader,
      scrollback: preferences.scrollback,
      minimumContrastRatio: matchMedia('(prefers-contrast: more)').matches ? 7 : 1,
    })
    this.terminal.loadAddon(new UnicodeGraphemesAddon())
    this.#guard = new ReplayGuard(this.terminal, true)
    this.terminal.onData((text) => onInput(encoder.encode(text)))
    this.terminal.onBinary((text) => onInput(Uint8Array.from(text, (letter) => letter.charCodeAt(0) & 0xff)))
    // Tab leads on to the buttons where typing leads nowhere.
    this.terminal.attachCustomKeyEventHandler((press) => !(this.terminal.options.disableStdin && press.key === 'Tab'))
    this.#styles.opening(() => this.terminal.open(parent))
    this.#resizes.observe(parent)
  }

  reset(size: TerminalSize): void {
    this.terminal.write(RESET, () => this.#resizeNow(size))
  }

  resize(size: TerminalSize): void {
    // In order with what was written before.
    this.terminal.write('', () => this.#resizeNow(size))
  }

  write(bytes: Uint8Array, parsed: () => void): void {
    this.terminal.write(bytes, parsed)
  }

  /** Whether what is typed leads somewhere. */
  allowInput(allowed: boolean): void {
    this.terminal.options.disableStdin = !allowed
    if (allowed) this.terminal.focus()
  }

  /** Whether all of the screen is shown, however small its letters are then. */
  showWhole(whole: boolean): void {
    this.#whole = whole
    this.#scheduleFit()
  }

  dispose(): void {
    cancelAnimationFrame(this.#frame)
    this.#resizes.disconnect()
    this.#guard.dispose()
    this.terminal.dispose()
    this.#styles.dispose()
  }

  #resizeNow({ cols, rows }: TerminalSize): void {
    this.terminal.resize(cols, rows)
    this.#onSize({ cols, rows })
    this.#scheduleFit()
  }

  #scheduleFit(): void {
    cancelAnimationFrame(this.#frame)
    this.#frame = requestAnimationFrame(() => this.#fit(FIT_ATTEMPTS))
  }

  /** Letters as large as fit, up to the size one is used to; says whether those that fit can be read. */
  #fit(attempts: number): void {
    const drawn = this.#parent.querySelector('.xterm-screen')
    if (!drawn || drawn.clientWidth === 0 || this.#parent.clientWidth < 20) return
    const font = this.terminal.options.fontSize ?? this.#largest
    const scale = Math.min(this.#parent.clientWidth / drawn.clientWidth, this.#parent.clientHeight / drawn.clientHeight)
    // The cells of letters are whole pixels: what fits by the numbers may still be a little too large.
    const wanted = Math.floor(font * scale * 4) / 4
    const smallest = this.#whole ? SMALLEST_FONT : Math.min(READABLE_FONT, this.#largest)
    const fitting = Math.max(smallest, Math.min(this.#largest, scale < 1 && wanted === font ? font - 0.25 : wanted))
    this.#onFit(wanted >= READABLE_FONT || wanted >= this.#largest)
    if (fitting === font || attempts === 0) return
    this.terminal.options.fontSize = fitting
    this.#frame = requestAnimationFrame(() => this.#fit(attempts - 1))
  }
}
