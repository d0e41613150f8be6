import type { Terminal } from '@xterm/xterm'

const QUIET_MILLISECONDS = 150

/**
 * Keeps a terminal from answering the past. A page that was reloaded gets the
 * session's last output again; the questions in it (device attributes, cursor
 * position, colours, clipboard) were answered then, and a second answer would
 * arrive as if it had been typed. The past is over when everything is parsed
 * and nothing more came for a moment.
 */
export class ReplayGuard {
  #replaying = false
  #unparsed = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  /** With `always`, the terminal never answers: it shows a session that another one answers for. */
  constructor(terminal: Terminal, always = false) {
    const { parser } = terminal
    const swallow = () => always || this.#replaying
    const swallowQuestion = (data: string) => swallow() && data.includes('?')
    // DA1-3, DSR, DECRQM, XTVERSION, window reports.
    for (const prefix of [undefined, '>', '=']) parser.registerCsiHandler({ prefix, final: 'c' }, swallow)
    for (const prefix of [undefined, '?']) {
      parser.registerCsiHandler({ prefix, final: 'n' }, swallow)
      parser.registerCsiHandler({ prefix, intermediates: '$', final: 'p' }, swallow)
    }
    parser.registerCsiHandler({ prefix: '>', final: 'q' }, swallow)
    parser.registerCsiHandler({ final: 't' }, swallow)
    parser.registerDcsHandler({ intermediates: '$', final: 'q' }, swallow)
    for (const colour of [4, 10, 11, 12]) parser.registerOscHandler(colour, swallowQuestion)
    parser.registerOscHandler(52, swallow)
  }

  get replaying(): boolean {
    return this.#replaying
  }

  /** What is written from now on was on a screen before. */
  begin(): void {
    this.#replaying = true
    this.#wait()
  }

  /** To be called for each piece that is written. */
  written(): void {
    this.#unparsed += 1
    clearTimeout(this.#timer)
  }

  /** To be called when a piece is parsed. */
  parsed(): void {
    this.#unparsed -= 1
    if (this.#replaying && this.#unparsed === 0) this.#wait()
  }

  dispose(): void {
    clearTimeout(this.#timer)
  }

  #wait(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      if (this.#unparsed === 0) this.#replaying = false
    }, QUIET_MILLISECONDS)
  }
}
