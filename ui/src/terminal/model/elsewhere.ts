import type { Session } from '@/api/types'

/** What a pane says about the session it shows, or is about to. */
export interface PaneSession {
  targetId: string
  /** Not known yet while it is being opened. */
  sessionId: string | null
  opening: boolean
}

interface Sources {
  /** The person's open sessions; `null` when the hub does not say. */
  open(): Promise<readonly Session[] | null>
  /** Those that windows of this browser show; `null` where it cannot tell. */
  shownInBrowser(): Promise<ReadonlySet<string> | null>
  panes(): readonly PaneSession[]
  onChange(sessions: readonly Session[]): void
}

/**
 * Own sessions that are open and shown nowhere.
 *
 * The hub knows a session before the pane that opens it knows its id: until it does, a session on its target
 * may be the pane's own, and is not told of.
 */
export class Elsewhere {
  readonly #sources: Sources
  /** Those that the person does not want to be reminded of, and those that are just being ended here. */
  readonly #hidden = new Set<string>()
  #open: readonly Session[] = []
  #shown: readonly Session[] = []
  #looks = 0

  constructor(sources: Sources) {
    this.#sources = sources
  }

  /** Asks the hub; of several questions the last one counts. */
  async look(): Promise<void> {
    this.#looks += 1
    const look = this.#looks
    const [open, browser] = await Promise.all([this.#sources.open(), this.#sources.shownInBrowser()])
    if (open === null || look !== this.#looks) return
    this.#open = open.filter(({ id, attached }) => !attached && !browser?.has(id))
    this.panesChanged()
  }

  /** A pane began or ended, or learned which session it shows. */
  panesChanged(): void {
    const panes = this.#sources.panes()
    const here = new Set(panes.map(({ sessionId }) => sessionId))
    const opening = new Set(panes.flatMap((pane) => (pane.opening && pane.sessionId === null ? [pane.targetId] : [])))
    // For good: what was heard of a session that was shown here since is no news.
    this.#open = this.#open.filter(({ id }) => !here.has(id))
    const shown = this.#open.filter(({ id, target_id }) => !this.#hidden.has(id) && !(target_id && opening.has(target_id)))
    if (shown.length === this.#shown.length && shown.every((session, index) => session === this.#shown[index])) return
    this.#shown = shown
    this.#sources.onChange(shown)
  }

  /** Says no more about these. */
  dismiss(): void {
    for (const { id } of this.#shown) this.#hidden.add(id)
    this.panesChanged()
  }

  /** A session is being ended here, and until it is over it is nothing to come back to. */
  async ending(sessionId: string | null, over: Promise<unknown>): Promise<void> {
    if (sessionId === null) return
    this.#hidden.add(sessionId)
    try {
      await over
    } finally {
      this.#hidden.delete(sessionId)
      // Heard of before it was over.
      this.#open = this.#open.filter(({ id }) => id !== sessionId)
    }
  }
}
