/**
 * Plays a recording's segments onto a screen: a clock, the segments around the position, and what has
 * to be drawn. A seek costs one segment, whatever the length.
 *
 * asciinema-player's own driver for segments knows neither a change of speed nor the skipping of idle
 * time, and reads the list of segments again for each new player, which the hub notes as another
 * playing. So this drives, and the player draws.
 */
import { isSeen, parseSize, type Marker, type PlayerEvent, type PlayerIndex, type PlayerSegment, type Size } from './format'

/** What is drawn on. */
export interface Sink {
  reset(size: Size, init: string): void
  output(text: string): void
  resize(size: Size): void
}

/** Where time comes from; a test has its own. */
export interface Ticker {
  /** Milliseconds. */
  now(): number
  /** Calls back at the next frame; the answer takes it back. */
  next(callback: () => void): () => void
}

export interface EngineState {
  phase: 'paused' | 'playing' | 'ended'
  /** Seconds. */
  time: number
  /** A segment is on its way. */
  waiting: boolean
  speed: number
  skipIdle: boolean
  markers: readonly Marker[]
  /** Why it does not go on. */
  error: unknown
}

/** Pauses are shortened to this when idle time is skipped; half of it before, half after. */
const IDLE_SECONDS = 1
/** Events closer than this are one frame. */
const FRAME_SECONDS = 1 / 60
/** Segments that are kept; one is up to 5 MiB of text. */
const KEPT = 6

const browserTicker: Ticker = {
  now: () => performance.now(),
  next(callback) {
    const id = requestAnimationFrame(callback)
    return () => cancelAnimationFrame(id)
  },
}

export class Engine {
  readonly index: PlayerIndex
  readonly #load: (url: string) => Promise<PlayerSegment>
  readonly #sink: Sink
  readonly #ticker: Ticker
  readonly #listeners = new Set<() => void>()
  readonly #segments = new Map<number, Promise<PlayerSegment>>()
  #state: EngineState
  /** What is on the screen: the segment, and how many of its events. */
  #at: { number: number; segment: PlayerSegment; next: number } | null = null
  /** The time of the last thing that was seen. */
  #lastSeen = 0
  #ticked = 0
  #cancelTick: (() => void) | null = null
  /** Grows with each move, so that an older one that is still on its way gives up. */
  #move = 0
  #disposed = false

  constructor(index: PlayerIndex, load: (url: string) => Promise<PlayerSegment>, sink: Sink, ticker = browserTicker) {
    this.index = index
    this.#load = load
    this.#sink = sink
    this.#ticker = ticker
    this.#state = {
      phase: 'paused',
      time: 0,
      waiting: false,
      speed: 1,
      skipIdle: true,
      markers: index.markers,
      error: null,
    }
  }

  readonly getState = (): EngineState => this.#state

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  dispose(): void {
    this.#disposed = true
    this.#move += 1
    this.#cancelTick?.()
    this.#listeners.clear()
    this.#segments.clear()
  }

  play(): void {
    if (this.#disposed || this.#state.phase === 'playing') return
    if (this.#state.phase === 'ended' || this.#state.time >= this.index.duration) {
      this.#set({ phase: 'playing' })
      void this.seek(0)
    } else {
      this.#set({ phase: 'playing', error: null })
      if (this.#at === null || this.#state.error) void this.seek(this.#state.time)
    }
    this.#ticked = this.#ticker.now()
    this.#schedule()
  }

  pause(): void {
    this.#cancelTick?.()
    this.#cancelTick = null
    if (this.#state.phase === 'playing') this.#set({ phase: 'paused' })
  }

  toggle(): void {
    if (this.#state.phase === 'playing') this.pause()
    else this.play()
  }

  setSpeed(speed: number): void {
    this.#set({ speed })
  }

  setSkipIdle(skipIdle: boolean): void {
    this.#set({ skipIdle })
  }

  /** Goes to a time; resolves when its screen is drawn, or when something else was asked for since. */
  async seek(wanted: number): Promise<void> {
    const time = Math.min(Math.max(0, wanted), this.index.duration)
    this.#move += 1
    const move = this.#move
    const number = this.#numberAt(time)
    const phase = this.#state.phase === 'ended' ? 'paused' : this.#state.phase
    this.#set({ time, phase, waiting: true, error: null })
    try {
      const segment = await this.#segment(number)
      if (move !== this.#move) return
      const forward = this.#at?.number === number && time >= this.#lastSeen
      if (!forward) this.#begin(number, segment)
      this.#apply(time)
      this.#ticked = this.#ticker.now()
      this.#set({ waiting: false })
      this.#prefetch(number + 1)
      if (this.#state.phase === 'playing') this.#schedule()
    } catch (error) {
      if (move === this.#move) this.#fail(error)
    }
  }

  /** Draws what is on the screen anew, with whatever the screen draws it otherwise. */
  redraw(): void {
    if (this.#at === null) return
    this.#at = null
    void this.seek(this.#state.time)
  }

  /** One frame forward or back; stops playing. */
  async step(direction: 1 | -1): Promise<void> {
    this.pause()
    if (this.#at === null) await this.seek(this.#state.time)
    const target = direction > 0 ? await this.#frameAfter() : await this.#frameBefore()
    if (target !== null) await this.seek(target)
  }

  /** The next or the previous marker, if there is one. */
  seekMarker(direction: 1 | -1): void {
    const { markers, time } = this.#state
    const found = direction > 0 ? markers.find(([at]) => at > time + 0.05) : markers.findLast(([at]) => at < time - 0.5)
    if (found) void this.seek(found[0])
  }

  // --- segments -------------------------------------------------------------

  #numberAt(time: number): number {
    return Math.max(0, this.index.segments.findLastIndex(({ start }) => start <= time))
  }

  #segment(number: number): Promise<PlayerSegment> {
    const known = this.#segments.get(number)
    if (known) {
      // The most recently used is the last to go.
      this.#segments.delete(number)
      this.#segments.set(number, known)
      return known
    }
    const entry = this.index.segments[number]
    if (!entry) return Promise.reject(new Error(`there is no segment ${number}`))
    const loading = this.#load(entry.url)
    this.#segments.set(number, loading)
    loading.then(
      (segment) => this.#noteMarkers(segment),
      () => this.#segments.delete(number),
    )
    for (const old of [...this.#segments.keys()].slice(0, Math.max(0, this.#segments.size - KEPT))) this.#segments.delete(old)
    return loading
  }

  #prefetch(number: number): void {
    if (number < this.index.segments.length) this.#segment(number).catch(() => undefined)
  }

  #noteMarkers({ events }: PlayerSegment): void {
    const { markers } = this.#state
    const known = new Set(markers.map(([time]) => time))
    const fresh = events.filter(([time, code]) => code === 'm' && !known.has(time)).map(([time, , label]): Marker => [time, label])
    if (fresh.length > 0) this.#set({ markers: [...markers, ...fresh].toSorted(([a], [b]) => a - b) })
  }

  // --- drawing --------------------------------------------------------------

  #begin(number: number, segment: PlayerSegment): void {
    const { cols, rows, init } = segment.snapshot
    this.#sink.reset({ cols, rows }, init)
    this.#at = { number, segment, next: 0 }
    this.#lastSeen = this.index.segments[number]?.start ?? 0
  }

  /** Draws what happened until `time` in the segment one is in; output between two sizes in one piece. */
  #apply(time: number): void {
    const at = this.#at
    if (!at) return
    const { events } = at.segment
    let output: string[] = []
    const flush = () => {
      if (output.length > 0) this.#sink.output(output.join(''))
      output = []
    }
    for (let event = events[at.next]; event && event[0] <= time; event = events[at.next]) {
      at.next += 1
      if (isSeen(event)) this.#lastSeen = event[0]
      if (event[1] === 'o') output.push(event[2])
      const size = event[1] === 'r' ? parseSize(event[2]) : null
      if (size) {
        flush()
        this.#sink.resize(size)
      }
    }
    flush()
  }

  // --- the clock ------------------------------------------------------------

  #schedule(): void {
    if (this.#disposed) return
    this.#cancelTick?.()
    this.#cancelTick = this.#ticker.next(() => {
      this.#cancelTick = null
      this.#tick()
    })
  }

  #tick(): void {
    const { phase, waiting, speed } = this.#state
    if (phase !== 'playing' || waiting) return
    const now = this.#ticker.now()
    let time = this.#state.time + ((now - this.#ticked) / 1000) * speed
    this.#ticked = now
    if (this.#state.skipIdle) time = this.#skip(time)
    time = Math.min(time, this.index.duration)
    const next = (this.#at?.number ?? 0) + 1
    const boundary = this.index.segments[next]?.start
    if (boundary !== undefined && time >= boundary) {
      void this.#enter(next, boundary, time)
      return
    }
    this.#apply(time)
    if (time >= this.index.duration) this.#set({ time, phase: 'ended' })
    else {
      this.#set({ time })
      this.#schedule()
    }
  }

  /** Where one is after the middle of a pause was left out. */
  #skip(time: number): number {
    const { segment, next, number } = this.#at ?? {}
    const ahead = segment?.events.slice(next).find(isSeen)?.[0] ?? this.index.segments[(number ?? 0) + 1]?.start ?? this.index.duration
    const isPause = ahead - this.#lastSeen > IDLE_SECONDS && time - this.#lastSeen > IDLE_SECONDS / 2
    return isPause ? Math.max(time, ahead - IDLE_SECONDS / 2) : time
  }

  /** Goes on into the next segment, which shows what the last one ended with. */
  async #enter(number: number, boundary: number, wanted: number): Promise<void> {
    const move = this.#move
    this.#apply(boundary)
    this.#set({ time: boundary, waiting: true })
    try {
      const segment = await this.#segment(number)
      if (move !== this.#move) return
      // At a speed that leaves a segment behind within a frame, the next frames catch up.
      const end = this.index.segments[number + 1]?.start ?? this.index.duration
      const lastSeen = this.#lastSeen
      this.#begin(number, segment)
      this.#lastSeen = lastSeen
      const time = Math.min(wanted, end)
      this.#apply(time)
      this.#ticked = this.#ticker.now()
      this.#set({ time, waiting: false })
      this.#prefetch(number + 1)
      this.#schedule()
    } catch (error) {
      if (move === this.#move) this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    this.#cancelTick?.()
    this.#cancelTick = null
    this.#set({ phase: 'paused', waiting: false, error })
  }

  // --- frames ---------------------------------------------------------------

  async #frameAfter(): Promise<number | null> {
    for (let number = this.#at?.number ?? 0; number < this.index.segments.length; number += 1) {
      const { events } = await this.#segment(number)
      const first = events.find((event) => isSeen(event) && event[0] > this.#state.time)
      if (first) return lastOfFrame(events, first[0])
    }
    return null
  }

  async #frameBefore(): Promise<number | null> {
    // What is on the screen came with the last thing seen: before that is the frame that is wanted.
    const from = Math.min(this.#lastSeen, this.#state.time) - FRAME_SECONDS
    for (let number = this.#numberAt(Math.max(0, from)); number >= 0; number -= 1) {
      const { events } = await this.#segment(number)
      const last = events.findLast((event) => isSeen(event) && event[0] <= from)
      if (last) return last[0]
    }
    return this.#state.time > 0 ? 0 : null
  }

  #set(change: Partial<EngineState>): void {
    if (this.#disposed) return
    this.#state = { ...this.#state, ...change }
    for (const listener of this.#listeners) listener()
  }
}

/** The time of the last thing seen within one frame after `start`. */
function lastOfFrame(events: readonly PlayerEvent[], start: number): number {
  return events.findLast((event) => isSeen(event) && event[0] < start + FRAME_SECONDS)?.[0] ?? start
}
