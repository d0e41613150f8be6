/** Largest binary frame the client sends; small enough that a key gets in between. */
export const INPUT_CHUNK_BYTES = 16 * 1024
/** Above this the socket is left to drain before more is handed to it. */
const HIGH_WATER_BYTES = 64 * 1024
/** What may wait while there is no connection: keystrokes, never a document. */
export const OFFLINE_LIMIT_BYTES = 4 * 1024
/** Input of at least this size is a transfer (a paste), not typing. */
export const BULK_BYTES = 4 * 1024
/** `bufferedAmount` has no event, so it is looked at while, and only while, input waits. */
const DRAIN_INTERVAL_MILLISECONDS = 8

/** The part of a socket that the queue needs. */
export interface InputSink {
  readonly bufferedAmount: number
  send(data: Uint8Array<ArrayBuffer>): void
}

export interface Progress {
  sent: number
  total: number
}

/**
 * Input on its way to the hub: in order, in bounded frames, never faster than
 * the socket drains. A transfer can be abandoned in the middle (Ctrl-C).
 */
export class InputQueue {
  #chunks: Uint8Array<ArrayBuffer>[] = []
  #waiting = 0
  #bulk: Progress | null = null
  #sink: InputSink | null = null
  #timer: ReturnType<typeof setTimeout> | null = null
  readonly #onProgress: (progress: Progress | null) => void

  /** `onProgress` follows a transfer; `null` says it is over. */
  constructor(onProgress: (progress: Progress | null) => void = () => {}) {
    this.#onProgress = onProgress
  }

  /** Bytes accepted but not yet given to a socket. */
  get waiting(): number {
    return this.#waiting
  }

  get transferring(): boolean {
    return this.#bulk !== null
  }

  /** Takes input; `false` when it was refused because there is no connection and no room. */
  push(bytes: Uint8Array<ArrayBuffer>): boolean {
    if (bytes.length === 0) return true
    if (!this.#sink && this.#waiting + bytes.length > OFFLINE_LIMIT_BYTES) return false
    if (bytes.length >= BULK_BYTES || this.#bulk) {
      this.#bulk = {
        sent: this.#bulk?.sent ?? 0,
        total: (this.#bulk?.total ?? 0) + bytes.length,
      }
    }
    for (let start = 0; start < bytes.length; start += INPUT_CHUNK_BYTES) {
      this.#chunks.push(bytes.subarray(start, start + INPUT_CHUNK_BYTES))
    }
    this.#waiting += bytes.length
    this.#pump()
    return true
  }

  /** Starts sending to `sink`. */
  attach(sink: InputSink): void {
    this.#sink = sink
    this.#pump()
  }

  /**
   * Stops sending. A transfer that was under way is abandoned, since nobody can
   * say which of its bytes arrived: continuing would leave a hole in the middle.
   * Returns how far it had come.
   */
  detach(): Progress | null {
    this.#sink = null
    this.#stopTimer()
    return this.#bulk ? this.abandon() : null
  }

  /** Throws away what waits. Returns how far the transfer had come, if there was one. */
  abandon(): Progress | null {
    const progress = this.#bulk
    this.#chunks = []
    this.#waiting = 0
    this.#bulk = null
    this.#stopTimer()
    if (progress) this.#onProgress(null)
    return progress
  }

  #pump(): void {
    this.#stopTimer()
    const sink = this.#sink
    if (!sink) return
    while (sink.bufferedAmount < HIGH_WATER_BYTES) {
      const chunk = this.#chunks.shift()
      if (!chunk) break
      sink.send(chunk)
      this.#waiting -= chunk.length
      if (this.#bulk) {
        this.#bulk = { sent: this.#bulk.sent + chunk.length, total: this.#bulk.total }
      }
    }
    const unsent = this.#chunks.length > 0
    // A transfer lasts until the socket has drained: only then is nothing in doubt.
    const draining = this.#bulk !== null && sink.bufferedAmount > 0
    if (this.#bulk) {
      if (!unsent && !draining) this.#bulk = null
      this.#onProgress(this.#bulk)
    }
    if (unsent || draining) {
      this.#timer = setTimeout(() => this.#pump(), DRAIN_INTERVAL_MILLISECONDS)
    }
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }
}
