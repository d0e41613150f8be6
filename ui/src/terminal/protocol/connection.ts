import { reconnectDelay } from './backoff'
import {
  CUT,
  type Ending,
  type Problem,
  describeClose,
  describeRefusal,
  describeResumeRefusal,
  isResumable,
  MOVED,
  UNREACHABLE,
} from './endings'
import { EchoMeter } from './echo-meter'
import { InputQueue, type Progress } from './input-queue'
import {
  ACK_EVERY_BYTES,
  type ClientMessage,
  connectUrl,
  type ErrorMessage,
  type ExitMessage,
  type NoticeMessage,
  type ParticipantsMessage,
  parseServerMessage,
  type ReadyMessage,
  SUBPROTOCOL,
  type TerminalSize,
} from './messages'
import { SentInput } from './sent-input'
import { SilenceWatch } from './silence-watch'

/** An answer of the hub's HTTP interface; a `null` problem means it did not answer. */
export type Answer<T> = { ok: true; value: T } | { ok: false; problem: Problem | null }

/** What a connection asks of the hub besides its socket. */
export interface ConnectionServices {
  /** Whether this session would be allowed and would work now; the value is the hub's id of this question. */
  preflight(request: {
    targetId: string
    credentialId: string | null
    cols: number
    rows: number
    reason: string | null
  }): Promise<Answer<string | null>>
  /** Why an attempt to open this target failed that came after the question of this id; `null` if the hub kept none. */
  explain(targetId: string, after: string | null): Promise<Answer<Problem | null>>
  /** A fresh token for a session of this person that is still there. */
  resume(sessionId: string): Promise<Answer<{ resumeToken: string }>>
  /** Ends a session that has no socket. */
  terminate(sessionId: string): Promise<Answer<void>>
  /** Whether the hub answers at all. */
  alive(): Promise<boolean>
}

/** Where the bytes go. `write` calls `parsed` when they are on the screen, in order. */
export interface TerminalSink {
  write(bytes: Uint8Array, parsed: () => void): void
  /** Forgets the screen, after everything written so far. */
  reset(): void
  /** What is written next was shown before, on this page or another. */
  replay(): void
}

export type ConnectionState =
  | { phase: 'idle' }
  | { phase: 'checking' }
  | { phase: 'connecting'; resuming: boolean }
  | { phase: 'open' }
  /** `keptUntil`: when the hub lets go of the session, where it said so. */
  | { phase: 'waiting'; retryAt: number; attempt: number; keptUntil: number | null }
  | { phase: 'ended'; ending: Ending }

export interface ConnectionStats {
  bytesReceived: number
  bytesSent: number
  /** Smoothed time from a key to its echo; `null` until something was typed. */
  echoMilliseconds: number | null
}

export interface ConnectionEvents {
  onState(state: ConnectionState): void
  /** `recorded` is null where the hub does not say. */
  onSession(sessionId: string, recorded: boolean | null): void
  onNotice(notice: NoticeMessage): void
  /** Who watches or joined this session. */
  onParticipants(participants: ParticipantsMessage): void
  onStats(stats: ConnectionStats): void
  onTransfer(progress: Progress | null): void
  onTransferInterrupted(progress: Progress): void
  onInputRefused(): void
  /** So many bytes of input reached nobody and are not kept any more. */
  onInputLost(bytes: number): void
  /** Input stays without an answer since then, and the hub does not answer at all; `null` when that is over. */
  onSilence(since: number | null): void
}

export interface ConnectionOptions {
  /** Origin of the hub. */
  base: string
  targetId: string
  credentialId: string | null
  reason: string | null
  /** A session to continue instead of opening a new one. */
  sessionId: string | null
  size: TerminalSize
  services: ConnectionServices
  sink: TerminalSink
  events: ConnectionEvents
  socket?: (url: string, protocol: string) => WebSocket
  random?: () => number
}

const RESIZE_DEBOUNCE_MILLISECONDS = 120
const STATS_INTERVAL_MILLISECONDS = 500
const GIVE_UP_MILLISECONDS = 10 * 60_000
const DISCONNECT_PATIENCE_MILLISECONDS = 3_000
/** A socket that neither opens nor fails within this is treated as failed. The hub itself gives up sooner, and says why. */
const OPEN_PATIENCE_MILLISECONDS = 60_000
/** Close code for "this page drops the socket, the session stays". */
const CLOSE_DROPPED = 3000

/**
 * One terminal session over one socket after another.
 *
 * INVARIANT: `#received` is the position in the hub's byte stream up to which
 * bytes were handed to the sink, so that a resume neither loses nor repeats one;
 * `#parsed` follows it as the sink reports, and drives the acknowledgements.
 */
export class TerminalConnection {
  readonly #options: ConnectionOptions
  readonly #input: InputQueue
  readonly #echo = new EchoMeter()
  readonly #sent = new SentInput()
  readonly #silence: SilenceWatch
  #state: ConnectionState = { phase: 'idle' }
  /** The hub's id of the question whether this session may be opened. */
  #askedAs: string | null = null
  #socket: WebSocket | null = null
  #sessionId: string | null
  #resumeToken: string | null = null
  #size: TerminalSize
  #announcedSize: TerminalSize | null = null
  #received = 0
  #parsed = 0
  #acknowledged = 0
  /** Grows when positions are counted anew, so that late sink reports are ignored. */
  #epoch = 0
  #bytesReceived = 0
  #bytesSent = 0
  #exit: ExitMessage | null = null
  #error: ErrorMessage | null = null
  /** Of the request that opened the socket, as the hub said it. */
  #requestId: string | null = null
  #attempt = 0
  #lostAt: number | null = null
  /** How long the hub keeps the session for a page that was cut off, where it said so. */
  #keptFor: number | null = null
  /** This page has shown nothing of the session it continues. */
  #startsOver: boolean
  #disposed = false
  #retryTimer: ReturnType<typeof setTimeout> | null = null
  #resizeTimer: ReturnType<typeof setTimeout> | null = null
  #statsTimer: ReturnType<typeof setTimeout> | null = null
  #openTimer: ReturnType<typeof setTimeout> | null = null
  #disconnectTimer: ReturnType<typeof setTimeout> | null = null

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#sessionId = options.sessionId
    this.#startsOver = options.sessionId !== null
    this.#size = options.size
    this.#input = new InputQueue((progress) => options.events.onTransfer(progress))
    this.#silence = new SilenceWatch({
      alive: () => options.services.alive(),
      onSilence: (since) => options.events.onSilence(since),
      onBack: () => this.reconnect(),
    })
  }

  get state(): ConnectionState {
    return this.#state
  }

  get sessionId(): string | null {
    return this.#sessionId
  }

  /** Stream position of the last byte received; what a resume would ask from. */
  get offset(): number {
    return this.#received
  }

  /** Whether a session is running on the hub that this page can still reach. */
  get active(): boolean {
    const { phase } = this.#state
    return this.#sessionId !== null && phase !== 'ended' && phase !== 'idle'
  }

  /** Opens the session, or continues the one given in the options. */
  async start(): Promise<void> {
    if (this.#state.phase !== 'idle') return
    this.#lostAt = Date.now()
    if (this.#sessionId) {
      await this.#askToResume()
      return
    }
    this.#setState({ phase: 'checking' })
    const answer = await this.#preflight()
    if (this.#phase() !== 'checking') return
    if (answer.ok) {
      this.#askedAs = answer.value
      this.#open(false)
    } else this.#end(answer.problem ? describeRefusal(answer.problem) : UNREACHABLE)
  }

  /** Sends input, or keeps a little of it until the connection is back. */
  send(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#state.phase === 'ended' || this.#disposed) return
    const interrupt = bytes.length === 1 && bytes[0] === 0x03
    if (interrupt && this.#input.transferring) {
      const progress = this.#input.abandon()
      if (progress) this.#options.events.onTransferInterrupted(progress)
    }
    if (!this.#input.push(bytes)) {
      this.#options.events.onInputRefused()
      return
    }
    this.#bytesSent += bytes.length
    if (this.#state.phase === 'open') this.#echo.sent(bytes.length, performance.now())
    this.#touchStats()
  }

  /** Tells the hub the size of the terminal, once it stops changing. */
  resize(size: TerminalSize): void {
    this.#size = size
    if (this.#resizeTimer !== null) clearTimeout(this.#resizeTimer)
    this.#resizeTimer = setTimeout(() => {
      this.#resizeTimer = null
      this.#announceSize()
    }, RESIZE_DEBOUNCE_MILLISECONDS)
  }

  /** Tries again at once instead of waiting for the countdown. */
  retryNow(): void {
    if (this.#state.phase !== 'waiting') return
    this.#stopRetry()
    void this.#reconnect()
  }

  /** Lets somebody who joined type, or no longer. */
  allowInput(participant: string, allowed: boolean): void {
    this.#message({ type: 'input', participant, allowed })
  }

  /** Gives up the socket, not the session, and resumes over a new one. */
  reconnect(): void {
    if (this.#state.phase !== 'open' || !this.#sessionId) return
    this.#dropSocket()
    this.#lostConnection()
    this.retryNow()
  }

  /** Ends the session on the hub. */
  async disconnect(): Promise<void> {
    const { phase } = this.#state
    if (phase === 'ended') return
    if (phase === 'open') {
      this.#input.abandon()
      this.#message({ type: 'disconnect' })
      this.#disconnectTimer = setTimeout(
        () => this.#end(describeClose(1000, '', this.#exit, null)),
        DISCONNECT_PATIENCE_MILLISECONDS,
      )
      return
    }
    const sessionId = this.#sessionId
    this.#end(describeClose(1000, '', null, null))
    if (sessionId) await this.#options.services.terminate(sessionId)
  }

  /** Leaves the session to another window. */
  surrender(): void {
    if (this.#state.phase !== 'ended') this.#end(MOVED)
  }

  /** Lets go of everything; the session stays on the hub for its grace period. */
  dispose(): void {
    this.#disposed = true
    this.#dropSocket()
    this.#stopTimers()
  }

  /** The phase now; read afresh after waiting, when it may have changed. */
  #phase(): ConnectionState['phase'] {
    return this.#state.phase
  }

  #preflight(): Promise<Answer<string | null>> {
    const { targetId, credentialId, reason, services } = this.#options
    return services.preflight({ targetId, credentialId, reason, ...this.#size })
  }

  #open(resuming: boolean): void {
    if (this.#disposed) return
    this.#setState({ phase: 'connecting', resuming })
    const { base, targetId, credentialId, reason } = this.#options
    const url = connectUrl(base, {
      targetId,
      credentialId,
      reason,
      ...this.#size,
      resume:
        resuming && this.#sessionId && this.#resumeToken
          ? {
              sessionId: this.#sessionId,
              resumeToken: this.#resumeToken,
              offset: this.#received,
            }
          : undefined,
    })
    // A token opens one socket; whatever happens next, this one is used up.
    this.#resumeToken = null
    this.#announcedSize = this.#size
    this.#exit = null
    this.#error = null
    this.#requestId = null
    const create = this.#options.socket ?? ((address, protocol) => new WebSocket(address, protocol))
    const socket = create(url, SUBPROTOCOL)
    socket.binaryType = 'arraybuffer'
    this.#socket = socket
    this.#openTimer = setTimeout(() => {
      if (this.#socket !== socket) return
      this.#dropSocket()
      this.#closed(1006, '')
    }, OPEN_PATIENCE_MILLISECONDS)
    socket.addEventListener('message', (event: MessageEvent<unknown>) => {
      if (this.#socket !== socket) return
      this.#silence.over()
      if (typeof event.data === 'string') this.#receivedText(event.data, socket)
      else if (event.data instanceof ArrayBuffer) this.#receivedBytes(new Uint8Array(event.data))
    })
    socket.addEventListener('close', (event: CloseEvent) => {
      if (this.#socket !== socket) return
      this.#socket = null
      this.#closed(event.code, event.reason)
    })
  }

  #receivedText(frame: string, socket: WebSocket): void {
    const message = parseServerMessage(frame)
    switch (message?.type) {
      case 'ready':
        this.#ready(message, socket)
        break
      case 'notice':
        this.#options.events.onNotice(message)
        break
      case 'participants':
        this.#options.events.onParticipants(message)
        break
      case 'exit':
        this.#exit = message
        break
      case 'error':
        this.#error = message
        break
      default:
        break
    }
  }

  #ready(message: ReadyMessage, socket: WebSocket): void {
    this.#clearOpenTimer()
    this.#sessionId = message.session_id
    this.#resumeToken = message.resume_token
    this.#requestId = message.request_id ?? null
    if (message.snapshot) this.#options.sink.reset()
    if (message.snapshot || this.#startsOver) this.#options.sink.replay()
    this.#startsOver = false
    if (message.offset !== undefined && message.offset !== this.#received) {
      this.#epoch += 1
      this.#received = message.offset
      this.#parsed = message.offset
      this.#acknowledged = message.offset
    }
    this.#attempt = 0
    this.#lostAt = null
    this.#keptFor = message.resume_seconds === undefined ? null : message.resume_seconds * 1000
    this.#options.events.onSession(message.session_id, message.recorded ?? null)
    this.#setState({ phase: 'open' })
    this.#announceSize()
    if (this.#parsed > this.#acknowledged) this.#acknowledge()
    const send = (data: Uint8Array<ArrayBuffer>) => {
      socket.send(data)
      this.#silence.sent()
    }
    // What was sent over a link that had died comes before what was typed meanwhile.
    const { again, lost } = message.input === undefined ? { again: [], lost: 0 } : this.#sent.untaken(message.input)
    for (const bytes of again) send(bytes)
    if (lost > 0) this.#options.events.onInputLost(lost)
    this.#input.attach({
      get bufferedAmount() {
        return socket.bufferedAmount
      },
      send: (data) => {
        this.#sent.sent(data)
        send(data)
      },
    })
  }

  #receivedBytes(bytes: Uint8Array): void {
    this.#received += bytes.length
    this.#bytesReceived += bytes.length
    this.#echo.received(performance.now())
    this.#touchStats()
    const epoch = this.#epoch
    this.#options.sink.write(bytes, () => {
      if (epoch !== this.#epoch || this.#disposed) return
      this.#parsed += bytes.length
      if (this.#parsed - this.#acknowledged >= ACK_EVERY_BYTES) this.#acknowledge()
    })
  }

  #acknowledge(): void {
    if (this.#state.phase !== 'open') return
    this.#acknowledged = this.#parsed
    this.#message({ type: 'ack', bytes: this.#parsed })
  }

  #announceSize(): void {
    if (this.#state.phase !== 'open') return
    const { cols, rows } = this.#size
    if (this.#announcedSize?.cols === cols && this.#announcedSize.rows === rows) return
    this.#announcedSize = this.#size
    this.#message({ type: 'resize', cols, rows })
  }

  #message(message: ClientMessage): void {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(message))
  }

  #closed(code: number, reason: string): void {
    this.#clearOpenTimer()
    this.#silence.over()
    const opened = this.#state.phase === 'open'
    const interrupted = this.#input.detach()
    this.#echo.reset()
    if (this.#disposed || this.#state.phase === 'ended') return
    if (interrupted) this.#options.events.onTransferInterrupted(interrupted)
    const final = this.#exit !== null || this.#disconnectTimer !== null || !isResumable(code)
    if (final && (opened || this.#exit || this.#error || code !== 1000)) {
      const endCode = isResumable(code) ? 1000 : code
      this.#endClosed(endCode, reason)
    } else if (this.#error && !opened) {
      this.#endClosed(code, reason)
    } else if (this.#sessionId) {
      this.#lostConnection()
    } else {
      void this.#explainRefusal()
    }
  }

  /**
   * A browser cannot read a refused upgrade: ask the hub what it was. What a second
   * preflight does not see (the target's own refusal) is in the failed session.
   */
  async #explainRefusal(): Promise<void> {
    const { services, targetId } = this.#options
    const allowed = await this.#preflight()
    const answer = allowed.ok ? await services.explain(targetId, this.#askedAs) : allowed
    if (this.#phase() !== 'connecting') return
    if (answer.ok) this.#end(answer.value ? describeRefusal(answer.value) : CUT)
    else this.#end(answer.problem ? describeRefusal(answer.problem) : UNREACHABLE)
  }

  #lostConnection(): void {
    const now = Date.now()
    this.#lostAt ??= now
    if (now - this.#lostAt > GIVE_UP_MILLISECONDS) {
      this.#end(UNREACHABLE)
      return
    }
    const delay = reconnectDelay(this.#attempt, this.#options.random ?? Math.random)
    const keptUntil = this.#keptFor === null ? null : this.#lostAt + this.#keptFor
    this.#setState({ phase: 'waiting', retryAt: now + delay, attempt: this.#attempt, keptUntil })
    this.#attempt += 1
    this.#retryTimer = setTimeout(() => void this.#reconnect(), delay)
  }

  async #reconnect(): Promise<void> {
    this.#stopRetry()
    if (this.#resumeToken) this.#open(true)
    else await this.#askToResume()
  }

  /** Gets a token for a session whose token is unknown (a reload) or used up. */
  async #askToResume(): Promise<void> {
    const sessionId = this.#sessionId
    if (!sessionId) return
    this.#setState({ phase: 'connecting', resuming: true })
    const answer = await this.#options.services.resume(sessionId)
    if (this.#state.phase !== 'connecting' || this.#disposed) return
    if (answer.ok) {
      this.#resumeToken = answer.value.resumeToken
      this.#open(true)
    } else if (answer.problem === null || answer.problem.status >= 500 || answer.problem.status === 429) {
      this.#lostConnection()
    } else {
      const isLate = this.#lostAt !== null && this.#keptFor !== null && Date.now() > this.#lostAt + this.#keptFor
      this.#end(describeResumeRefusal(answer.problem, isLate ? this.#keptFor : null))
    }
  }

  /** Ends with what the hub said on the socket before it closed. */
  #endClosed(code: number, reason: string): void {
    const ending = describeClose(code, reason, this.#exit, this.#error)
    const requestId = this.#error?.request_id ?? this.#requestId
    this.#end(ending.code === null ? ending : { ...ending, requestId })
  }

  #end(ending: Ending): void {
    this.#dropSocket()
    this.#stopTimers()
    this.#resumeToken = null
    this.#flushStats()
    this.#setState({ phase: 'ended', ending })
  }

  #dropSocket(): void {
    const socket = this.#socket
    this.#socket = null
    this.#clearOpenTimer()
    this.#silence.over()
    const interrupted = this.#input.detach()
    if (interrupted && !this.#disposed) this.#options.events.onTransferInterrupted(interrupted)
    if (socket && socket.readyState <= 1) socket.close(CLOSE_DROPPED)
  }

  #setState(state: ConnectionState): void {
    if (this.#disposed) return
    this.#state = state
    this.#options.events.onState(state)
  }

  #touchStats(): void {
    this.#statsTimer ??= setTimeout(() => this.#flushStats(), STATS_INTERVAL_MILLISECONDS)
  }

  #flushStats(): void {
    if (this.#statsTimer !== null) clearTimeout(this.#statsTimer)
    this.#statsTimer = null
    this.#options.events.onStats({
      bytesReceived: this.#bytesReceived,
      bytesSent: this.#bytesSent,
      echoMilliseconds: this.#echo.milliseconds,
    })
  }

  #stopRetry(): void {
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer)
    this.#retryTimer = null
  }

  #clearOpenTimer(): void {
    if (this.#openTimer !== null) clearTimeout(this.#openTimer)
    this.#openTimer = null
  }

  #stopTimers(): void {
    this.#stopRetry()
    this.#clearOpenTimer()
    for (const timer of [this.#resizeTimer, this.#statsTimer, this.#disconnectTimer]) {
      if (timer !== null) clearTimeout(timer)
    }
    this.#resizeTimer = null
    this.#statsTimer = null
    this.#disconnectTimer = null
  }
}
