/** How long input may stay without any answer before the hub is asked whether it is there. */
export const SILENCE_MILLISECONDS = 4_000

interface SilenceEvents {
  /** Whether the hub answers at all, asked beside the socket. */
  alive(): Promise<boolean>
  /** Nobody answers since then; `null` when that is over. */
  onSilence(since: number | null): void
  /** The hub answers again, but the socket is still silent. */
  onBack(): void
}

/**
 * Notices a link that died without saying so: input was sent, nothing comes back, and the hub does not
 * answer another question either. Asks nothing while nobody types.
 */
export class SilenceWatch {
  readonly #events: SilenceEvents
  /** When the first input was sent that nothing has followed. */
  #since: number | null = null
  #silent = false
  #timer: ReturnType<typeof setTimeout> | null = null
  /** Grows with everything heard, so that a late answer to an old question counts for nothing. */
  #turn = 0

  constructor(events: SilenceEvents) {
    this.#events = events
  }

  /** Input was given to the socket. */
  sent(): void {
    if (this.#since !== null) return
    this.#since = Date.now()
    this.#wait()
  }

  /** Something came from the hub, or the connection is given up: nothing is waited for any more. */
  over(): void {
    if (this.#since === null) return
    this.#turn += 1
    this.#since = null
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#silent) this.#events.onSilence(null)
    this.#silent = false
  }

  #wait(): void {
    this.#timer = setTimeout(() => void this.#ask(), SILENCE_MILLISECONDS)
  }

  async #ask(): Promise<void> {
    const turn = this.#turn
    const alive = await this.#events.alive()
    if (turn !== this.#turn || this.#since === null) return
    if (!alive) {
      if (!this.#silent) this.#events.onSilence(this.#since)
      this.#silent = true
      this.#wait()
      return
    }
    const wasSilent = this.#silent
    this.over()
    // What was sent meanwhile may be lost: a new socket finds out.
    if (wasSilent) this.#events.onBack()
  }
}
