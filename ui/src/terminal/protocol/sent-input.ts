/** How much of what was sent is kept, to send it again where a link died silently. */
export const KEPT_BYTES = 1024 * 1024

/** What a resume has to do about input that the hub did not take. */
export interface Untaken {
  /** To be sent again, before anything newer. */
  again: Uint8Array<ArrayBuffer>[]
  /** Bytes that are gone: sent, never taken, and not kept any more. */
  lost: number
}

/**
 * The input sent in a session, by its position in the hub's count, the last of it kept.
 *
 * INVARIANT: `#kept` are the bytes from `#from` up to `#end`, without a gap.
 */
export class SentInput {
  #kept: Uint8Array<ArrayBuffer>[] = []
  #from = 0
  #end = 0
  #known = false

  /** Notes what was handed to a socket. */
  sent(bytes: Uint8Array<ArrayBuffer>): void {
    this.#kept.push(bytes)
    this.#end += bytes.length
    while (this.#end - this.#from > KEPT_BYTES) {
      const oldest = this.#kept.shift()
      if (!oldest) break
      this.#from += oldest.length
    }
  }

  /**
   * Compares with what the hub took in all. The first time, only the position is learnt: whatever came
   * before was not sent here. Where a part of what is missing is gone, nothing of it is sent again: the
   * end of a command without its beginning is another command.
   */
  untaken(taken: number): Untaken {
    const none: Untaken = { again: [], lost: 0 }
    if (!this.#known || taken > this.#end) {
      this.#begin(taken)
      return none
    }
    if (taken < this.#from) {
      const lost = this.#end - taken
      this.#begin(taken)
      return { again: [], lost }
    }
    while (this.#kept[0] && this.#from + this.#kept[0].length <= taken) this.#from += this.#kept.shift()?.length ?? 0
    const [first] = this.#kept
    if (first && this.#from < taken) {
      this.#kept[0] = first.subarray(taken - this.#from)
      this.#from = taken
    }
    return { again: [...this.#kept], lost: 0 }
  }

  #begin(at: number): void {
    this.#kept = []
    this.#from = at
    this.#end = at
    this.#known = true
  }
}
