const TYPING_BYTES = 16
const QUIET_MILLISECONDS = 80
const LONGEST_MILLISECONDS = 10_000
const WEIGHT = 0.3

/**
 * Measures the round trip as a person feels it: from a key to the first byte
 * that comes back. Only keys pressed while the screen is quiet count, since
 * other output would be taken for their echo. Costs no traffic.
 */
export class EchoMeter {
  #sentAt: number | null = null
  #lastOutput = Number.NEGATIVE_INFINITY
  #smoothed: number | null = null

  /** Smoothed milliseconds; `null` until there was an echo. */
  get milliseconds(): number | null {
    return this.#smoothed
  }

  sent(bytes: number, now: number): void {
    if (bytes > TYPING_BYTES || this.#sentAt !== null) return
    if (now - this.#lastOutput < QUIET_MILLISECONDS) return
    this.#sentAt = now
  }

  received(now: number): void {
    this.#lastOutput = now
    if (this.#sentAt === null) return
    const sample = now - this.#sentAt
    this.#sentAt = null
    if (sample > LONGEST_MILLISECONDS) return
    this.#smoothed =
      this.#smoothed === null ? sample : this.#smoothed * (1 - WEIGHT) + sample * WEIGHT
  }

  /** Forgets a key that is waiting for its echo; the connection was lost. */
  reset(): void {
    this.#sentAt = null
  }
}
