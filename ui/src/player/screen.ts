/**
 * The terminal of asciinema-player as something to draw on. Its terminal is the model that the hub
 * takes the screens of segments with, compiled to WebAssembly; its controls and its clock are not used.
 */
import { create, type Player } from 'asciinema-player'
import 'asciinema-player/dist/bundle/asciinema-player.css'
import type { TerminalTheme } from '@/terminal/model/themes'
import type { Sink } from './engine'
import type { Size } from './format'

interface Callbacks {
  dispatch(event: string, data?: unknown): void
}

const FONT = "'JetBrains Mono Variable'"

const nothing = () => undefined

/** Eight bytes that are a whole WebAssembly module. */
const EMPTY_MODULE = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])

/** Whether this page may run WebAssembly: a browser can lack it, and a policy can forbid it. */
function runsWebAssembly(): boolean {
  try {
    return new WebAssembly.Module(EMPTY_MODULE) instanceof WebAssembly.Module
  } catch {
    return false
  }
}

/** The screen could not be made. */
export class ScreenUnavailable extends Error {}

export class PlayerScreen implements Sink {
  readonly #player: Player
  readonly #dispatch: Callbacks['dispatch']
  #columns: number
  #theme: TerminalTheme

  private constructor(player: Player, dispatch: Callbacks['dispatch'], { cols }: Size, theme: TerminalTheme) {
    this.#player = player
    this.#dispatch = dispatch
    this.#columns = cols
    this.#theme = theme
  }

  /** The colours of the next screen that is begun. */
  paint(theme: TerminalTheme): void {
    this.#theme = theme
  }

  get columns(): number {
    return this.#columns
  }

  /** Puts an empty terminal into `parent`; resolves once it can be drawn on. */
  static async open(parent: HTMLElement, size: Size, theme: TerminalTheme): Promise<PlayerScreen> {
    if (!runsWebAssembly()) throw new ScreenUnavailable('this page may not run WebAssembly')
    // The player measures a letter once.
    await document.fonts.load(`15px ${FONT}`).catch(() => undefined)
    return new Promise((resolve, reject) => {
      try {
        // The source is a driver: it gets what it dispatches with once the terminal listens.
        const driver = ({ dispatch }: Callbacks) => {
          queueMicrotask(() => resolve(new PlayerScreen(player, dispatch, size, theme)))
          return { init: nothing, play: nothing, pause: nothing, stop: nothing, getTiming: () => ({ time: 0, rate: 0, sampledAt: 0 }) }
        }
        const player = create(driver as never, parent, {
          ...size,
          // Without this a large "play" stands over the terminal.
          autoPlay: true,
          controls: false,
          fit: 'both',
          // With the colours that come with each screen.
          theme: 'auto/openpam',
          cursorMode: 'steady',
          terminalFontFamily: `${FONT}, ui-monospace, monospace`,
        })
      } catch (error) {
        reject(error as Error)
      }
    })
  }

  reset(size: Size, init: string): void {
    this.#columns = size.cols
    this.#dispatch('reset', { size, init, theme: embedded(this.#theme) })
  }

  output(text: string): void {
    this.#dispatch('output', text)
  }

  resize(size: Size): void {
    this.#columns = size.cols
    this.#dispatch('resize', size)
  }

  dispose(): void {
    this.#player.dispose()
  }
}

const ANSI = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'] as const
const BRIGHT = ['brightBlack', 'brightRed', 'brightGreen', 'brightYellow', 'brightBlue', 'brightMagenta', 'brightCyan', 'brightWhite'] as const

/** A theme of the terminals as the player takes it. */
const embedded = ({ colours }: TerminalTheme) => ({
  foreground: colours.foreground,
  background: colours.background,
  palette: [...ANSI, ...BRIGHT].map((name) => colours[name]),
})

/** The text that a screen shows, line by line, without what fills the lines up. */
export function textOf(parent: HTMLElement): string {
  const lines = [...parent.querySelectorAll('.ap-term-text .ap-line')].map((line) => line.textContent.trimEnd())
  return lines.join('\n').trimEnd()
}
