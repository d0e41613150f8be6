import type { LaunchTarget } from '@/api/types'
import type { StoredPane } from '../model/storage'
import type { TerminalPreferences } from '../model/preferences'
import { TerminalConnection, type ConnectionState, type ConnectionStats } from '../protocol/connection'
import { describeRefusal, type Ending, LEFT, UNREACHABLE } from '../protocol/endings'
import type { Progress } from '../protocol/input-queue'
import type { NoticeMessage, ParticipantsMessage } from '../protocol/messages'
import { count as counted } from '@/lib/format'
import { sessionLock } from '@/lib/session-locks'
import { connectionServices, fetchTarget, forgetLaunchTargets } from '../services'
import type { ExtraKey } from './extra-keys'
import { Screen } from './screen'

/** What a pane shows around its terminal. */
export interface PaneState {
  target: LaunchTarget | null
  credentialId: string | null
  /** What has to be answered before connecting. */
  asks: { credential: boolean; reason: boolean } | null
  connection: ConnectionState
  sessionId: string | null
  title: string
  notice: NoticeMessage | null
  endsAt: number | null
  /** Whether the hub records the session; null while it has not said. */
  recorded: boolean | null
  /** Who else is there. */
  participants: ParticipantsMessage
  /** Since when what was typed has no answer and the hub none either. */
  silentSince: number | null
  stats: ConnectionStats
  transfer: Progress | null
  size: { cols: number; rows: number }
  find: { index: number; count: number } | null
  unseen: boolean
  /** Ctrl of the key bar is held for the next character. */
  control: boolean
}

export interface PaneMessages {
  warn(title: string, detail?: string): void
  tell(title: string, detail?: string): void
}

export interface PaneHost extends PaneMessages {
  preferences(): TerminalPreferences
  appearance(): 'light' | 'dark'
  isVisible(pane: string): boolean
  onPaste(pane: string, text: string): void
  onFocus(pane: string): void
  onChanged(): void
}

const ALONE: ParticipantsMessage = { type: 'participants', watching: [], joined: [] }

const START: Omit<PaneState, 'credentialId' | 'sessionId'> = {
  target: null,
  asks: null,
  connection: { phase: 'idle' },
  title: '',
  notice: null,
  endsAt: null,
  recorded: null,
  participants: ALONE,
  silentSince: null,
  stats: { bytesReceived: 0, bytesSent: 0, echoMilliseconds: null },
  transfer: null,
  size: { cols: 80, rows: 24 },
  find: null,
  unseen: false,
  control: false,
}

/** One pane: a target, a terminal, and the connection between them. Lives outside of React, so that moving it costs nothing. */
export class PaneController {
  readonly id: string
  readonly targetId: string
  readonly screen: Screen
  readonly #host: PaneHost
  readonly #listeners = new Set<() => void>()
  #state: PaneState
  #reason: string | null
  #connection: TerminalConnection | null = null
  #shown: Promise<void> | null = null
  #releaseLock: (() => void) | null = null
  #disposed = false
  /** Was here before the page was loaded again. */
  #restored = false

  constructor(id: string, stored: StoredPane, reason: string | null, host: PaneHost) {
    this.id = id
    this.targetId = stored.targetId
    this.#reason = reason
    this.#host = host
    this.#state = { ...START, credentialId: stored.credentialId, sessionId: stored.sessionId }
    this.screen = new Screen(id, host.preferences(), host.appearance(), {
      onInput: (bytes) => this.#connection?.send(bytes),
      onControlUsed: () => this.#set({ control: false }),
      onSize: (size) => {
        this.#connection?.resize(size)
        this.#set({ size })
      },
      onTitle: (title) => this.#set({ title }),
      onBell: () => this.#state.unseen || this.#host.isVisible(id) || this.#set({ unseen: true }),
      onPaste: (text) => host.onPaste(id, text),
      onSelection: (text) => {
        if (text && host.preferences().copyOnSelect) void navigator.clipboard?.writeText(text).catch(() => undefined)
      },
      onClipboardWrite: (text) => this.#programCopies(text),
      onFocus: () => host.onFocus(id),
      onSearch: (index, count) => this.#set({ find: { index, count } }),
    })
  }

  get state(): PaneState {
    return this.#state
  }

  get reason(): string | null {
    return this.#reason
  }

  /** A session runs, or is about to. */
  get active(): boolean {
    return this.#connection?.active ?? false
  }

  /** Whether somebody is there to type to: a session, or one that is on its way. */
  get listens(): boolean {
    const { phase } = this.#state.connection
    return this.#state.asks === null && phase !== 'idle' && phase !== 'ended'
  }

  get stored(): StoredPane {
    const ended = this.#state.connection.phase === 'ended'
    return {
      targetId: this.targetId,
      credentialId: this.#state.credentialId,
      sessionId: ended ? null : this.#state.sessionId,
    }
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  readonly getState = (): PaneState => this.#state

  /** Puts the terminal on the page and, the first time, starts. */
  show(parent: HTMLElement): void {
    const first = this.#shown === null
    this.#shown = this.screen.show(parent)
    this.#set({ unseen: false })
    if (first) void this.#prepare()
  }

  /** Says that this pane comes back from before a reload: it continues a session and opens none. */
  restored(): void {
    this.#restored = true
  }

  /** Starts without being on the page: a tab in the background that was open before a reload. */
  startHidden(): void {
    if (this.#shown) return
    this.#shown = Promise.resolve()
    void this.#prepare()
  }

  hide(parent: HTMLElement): void {
    this.screen.hide(parent)
  }

  /** Connects with what the person answered. */
  connect(credentialId: string | null, reason: string | null): void {
    this.#reason = reason
    this.#set({ credentialId, asks: null })
    void this.#connect(null)
  }

  /** Opens a new session in the place of one that ended. */
  again(): void {
    this.#set({ sessionId: null, notice: null, endsAt: null, recorded: null, connection: { phase: 'checking' } })
    this.screen.wake()
    this.#dropConnection()
    this.focus()
    // Whether a reason is asked for, or another credential is there, may have changed since.
    void this.#prepare()
  }

  /** Takes a session back from another window. */
  takeBack(): void {
    const { sessionId } = this.#state
    this.#dropConnection()
    // The hub sends the session's output from its beginning; what is here would stand there twice.
    this.screen.wake()
    this.screen.reset()
    this.focus()
    void this.#connect(sessionId, true)
  }

  /** Gives the terminal the keyboard, once it is on the page; or the question that stands in front of it. */
  focus(): void {
    void this.#shown?.then(() => {
      if (this.#state.asks) this.screen.element.closest('[data-pane]')?.querySelector<HTMLElement>('form input:checked, form input')?.focus()
      else this.screen.terminal.focus()
    })
  }

  retryNow(): void {
    this.#connection?.retryNow()
    // The button goes with its banner.
    this.focus()
  }

  /** Replaces the socket of an open session. */
  refreshConnection(): void {
    this.#connection?.reconnect()
  }

  async disconnect(): Promise<void> {
    await this.#connection?.disconnect()
  }

  paste(text: string): void {
    this.screen.terminal.paste(text)
    this.focus()
  }

  /** Presses a key of the key bar. */
  press(key: ExtraKey): void {
    this.screen.press(key)
  }

  /** Holds Ctrl for the next character, or lets go of it. */
  holdControl(control: boolean): void {
    this.screen.control = control
    this.#set({ control })
  }

  /** Lets somebody who joined type, or no longer. */
  allowInput(participant: string, allowed: boolean): void {
    this.#connection?.allowInput(participant, allowed)
    if (allowed) this.focus()
  }

  dismissNotice(): void {
    this.#set({ notice: null })
  }

  dispose(): void {
    this.#disposed = true
    this.#dropConnection()
    this.screen.dispose()
    this.#listeners.clear()
  }

  async #prepare(): Promise<void> {
    await this.#shown
    this.#set({ connection: { phase: 'checking' } })
    const answer = await fetchTarget(this.targetId)
    if (this.#disposed) return
    if (answer.ok) this.#set({ target: answer.value })
    if (this.#state.sessionId) {
      void this.#connect(this.#state.sessionId)
    } else if (this.#restored) {
      this.#restored = false
      this.#ended(LEFT)
    } else if (answer.ok) {
      this.#askOrConnect(answer.value)
    } else {
      this.#ended(answer.problem ? describeRefusal(answer.problem) : UNREACHABLE)
    }
  }

  #askOrConnect(target: LaunchTarget): void {
    const chosen = target.credentials.find((item) => item.id === this.#state.credentialId)
    const only = target.credentials.length === 1 ? target.credentials[0] : undefined
    const credential = chosen ?? only ?? null
    const asks = {
      credential: credential === null && target.credentials.length > 1,
      reason: target.reason_required && !this.#reason?.trim(),
    }
    this.#set({ credentialId: credential?.id ?? null })
    if (asks.credential || asks.reason) this.#set({ asks, connection: { phase: 'idle' } })
    else void this.#connect(null)
  }

  async #connect(sessionId: string | null, steal = false): Promise<void> {
    this.#set({ connection: { phase: 'connecting', resuming: sessionId !== null } })
    if (sessionId && !(await this.#lock(sessionId, steal))) {
      this.#ended({
        kind: 'moved',
        title: 'Open in another window',
        detail: 'This session is shown in another window of this browser.',
        code: null,
        exitStatus: null,
      })
      return
    }
    if (this.#disposed) return
    const connection = new TerminalConnection({
      base: location.origin,
      targetId: this.targetId,
      credentialId: this.#state.credentialId,
      reason: this.#reason,
      sessionId,
      size: this.screen.size,
      services: connectionServices,
      sink: this.screen,
      events: {
        // Who is there is said again on each connection.
        onState: (state) => this.#set(state.phase === 'open' ? { connection: state } : { connection: state, participants: ALONE }),
        onParticipants: (participants) => this.#set({ participants }),
        onSession: (id, recorded) => {
          this.#set({ recorded })
          if (id !== this.#state.sessionId) {
            this.#set({ sessionId: id })
            forgetLaunchTargets()
            void this.#lock(id, true)
          }
        },
        onNotice: (notice) => {
          if (notice.code === 'idle_over') {
            if (this.#state.notice?.code === 'idle_soon') this.dismissNotice()
            return
          }
          // A key puts off that end: it is none of the session's.
          if (notice.code === 'idle_soon') {
            this.#set({ notice })
            return
          }
          const ends = notice.ends_at ? Date.parse(notice.ends_at) : Number.NaN
          const recorded = notice.recorded ?? this.#state.recorded
          this.#set({ notice, recorded, endsAt: Number.isNaN(ends) ? this.#state.endsAt : ends })
        },
        onStats: (stats) => this.#set({ stats }),
        onTransfer: (transfer) => this.#set({ transfer }),
        onTransferInterrupted: ({ sent, total }) =>
          this.#host.warn('The paste was interrupted', `${sent} of ${total} bytes were sent; check what arrived.`),
        onInputRefused: () =>
          this.#host.warn('Not connected', 'What you typed was not kept. Wait until the session is back.'),
        onInputLost: (bytes) =>
          this.#set({ notice: { type: 'notice', message: `${counted(bytes, 'character')} you typed ${bytes === 1 ? 'was' : 'were'} lost with the connection; look at what arrived.` } }),
        onSilence: (silentSince) => this.#set({ silentSince }),
      },
    })
    this.#connection = connection
    await connection.start()
  }

  /** Holds a session for this window, so that a duplicated browser tab does not fight over it. */
  async #lock(sessionId: string, steal: boolean): Promise<boolean> {
    if (!('locks' in navigator)) return true
    this.#releaseLock?.()
    this.#releaseLock = null
    const name = sessionLock(sessionId)
    // A page that reloads may let go of its locks a moment after the new one asks.
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const got = await this.#requestLock(name, steal)
      if (got) return true
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    return false
  }

  #requestLock(name: string, steal: boolean): Promise<boolean> {
    return new Promise((resolve) => {
      navigator.locks
        .request(name, steal ? { steal: true } : { ifAvailable: true }, (lock) => {
          resolve(lock !== null)
          if (!lock) return undefined
          return new Promise<void>((release) => {
            this.#releaseLock = release
          })
        })
        // Another window stole the lock: it shows the session now.
        .catch(() => this.#connection?.surrender())
    })
  }

  async #programCopies(text: string): Promise<void> {
    const name = this.#state.target?.name ?? 'the target'
    if (this.#state.target?.clipboard_write === false) {
      this.#host.tell(`${name} wanted to copy ${text.length} characters`, 'Your organisation does not let programs write to the clipboard.')
      return
    }
    if (!this.#host.preferences().clipboardWrite) {
      this.#host.tell(`${name} wanted to copy ${text.length} characters`, 'Programs may write to the clipboard only when you allow it in the settings.')
      return
    }
    try {
      await navigator.clipboard.writeText(text)
      this.#host.tell(`${name} copied ${text.length} characters to your clipboard`)
    } catch {
      this.#host.warn('The browser did not allow the copy', 'Click into the page and let the program copy again.')
    }
  }

  #ended(ending: Ending): void {
    this.#set({ connection: { phase: 'ended', ending } })
  }

  #dropConnection(): void {
    this.#connection?.dispose()
    this.#connection = null
    this.#releaseLock?.()
    this.#releaseLock = null
  }

  #set(change: Partial<PaneState>): void {
    if (this.#disposed) return
    const before = this.#state
    this.#state = { ...before, ...change }
    if (this.#state.connection.phase === 'ended') this.screen.rest()
    for (const listener of this.#listeners) listener()
    const layoutRelevant =
      before.sessionId !== this.#state.sessionId ||
      before.credentialId !== this.#state.credentialId ||
      before.connection.phase !== this.#state.connection.phase ||
      before.target !== this.#state.target ||
      before.unseen !== this.#state.unseen
    if (layoutRelevant) this.#host.onChanged()
  }
}
