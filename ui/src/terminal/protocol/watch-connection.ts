import { reconnectDelay } from './backoff'
import type { Answer } from './connection'
import { describeClose, describeRefusal, type Ending, isResumable, type Problem, UNREACHABLE } from './endings'
import {
  ACK_EVERY_BYTES,
  type ClientMessage,
  type ErrorMessage,
  type ExitMessage,
  type InputRight,
  type NoticeMessage,
  parseServerMessage,
  type ParticipantsMessage,
  SUBPROTOCOL,
  type TerminalSize,
  type WatchMode,
  type WatchReadyMessage,
  watchUrl,
} from './messages'

/** Where the session is shown. */
export interface WatchSink {
  /** Forgets everything: what follows draws the screen anew, at this size. */
  reset(size: TerminalSize): void
  write(bytes: Uint8Array, parsed: () => void): void
  /** The terminal has another size from here on. */
  resize(size: TerminalSize): void
}

export type WatchState =
  | { phase: 'connecting' }
  | { phase: 'open' }
  | { phase: 'waiting'; retryAt: number }
  | { phase: 'ended'; ending: Ending }

export interface WatchEvents {
  onState(state: WatchState): void
  onReady(ready: WatchReadyMessage): void
  onNotice(notice: NoticeMessage): void
  onInputRight(right: InputRight): void
  onParticipants(participants: ParticipantsMessage): void
}

export interface WatchOptions {
  base: string
  sessionId: string
  mode: WatchMode
  preflight(): Promise<Answer<void>>
  sink: WatchSink
  events: WatchEvents
  socket?: (url: string, protocol: string) => WebSocket
  random?: () => number
}

const GIVE_UP_ATTEMPTS = 8
/** Codes of errors that refuse one message and end nothing. */
const PASSING = new Set(['read_only', 'message_not_allowed', 'nobody_asks', 'too_much_input', 'malformed_message', 'unknown_message'])

const REFUSALS: Record<string, string> = {
  not_found: 'There is no such session for you',
  forbidden: 'You may not watch this session',
  session_ended: 'The session has ended',
  session_on_another_hub: 'The session runs on another hub',
  too_many_watchers: 'Too many people watch already',
}

function refusal(problem: Problem): Ending {
  const ending = describeRefusal(problem)
  return ending.kind === 'signed-out' ? ending : { ...ending, title: REFUSALS[problem.code] ?? 'The session cannot be watched now' }
}

/** Somebody else's session as it is now, over one socket after another. Each begins with the whole screen. */
export class WatchConnection {
  readonly #options: WatchOptions
  #socket: WebSocket | null = null
  #participant: string | null = null
  #right: InputRight = 'none'
  #parsed = 0
  #acknowledged = 0
  /** Grows when positions are counted anew, so that late reports of the sink are ignored. */
  #epoch = 0
  #exit: ExitMessage | null = null
  #error: ErrorMessage | null = null
  #attempt = 0
  #timer: ReturnType<typeof setTimeout> | null = null
  #over = false

  constructor(options: WatchOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    this.#options.events.onState({ phase: 'connecting' })
    const answer = await this.#options.preflight()
    if (this.#over) return
    if (answer.ok) this.#open()
    else if (answer.problem === null) this.#lost(UNREACHABLE)
    else this.#end(refusal(answer.problem))
  }

  /** Asks the session's person to be let type. */
  requestInput(): void {
    this.#message({ type: 'request_input' })
  }

  /** Types, where the session's person allows it; goes nowhere elsewhere. */
  send(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#right === 'granted' && this.#socket?.readyState === 1) this.#socket.send(bytes)
  }

  /** Stops watching; the session goes on. */
  dispose(): void {
    this.#over = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    const socket = this.#socket
    if (socket?.readyState === 1) this.#message({ type: 'disconnect' })
    this.#socket = null
    if (socket && socket.readyState <= 1) socket.close(1000)
  }

  #open(): void {
    const { base, sessionId, mode } = this.#options
    const create = this.#options.socket ?? ((address, protocol) => new WebSocket(address, protocol))
    const socket = create(watchUrl(base, sessionId, mode), SUBPROTOCOL)
    socket.binaryType = 'arraybuffer'
    this.#socket = socket
    socket.addEventListener('message', (event: MessageEvent<unknown>) => {
      if (this.#socket !== socket) return
      if (typeof event.data === 'string') this.#receivedText(event.data)
      else if (event.data instanceof ArrayBuffer) this.#receivedBytes(new Uint8Array(event.data))
    })
    socket.addEventListener('close', (event: CloseEvent) => {
      if (this.#socket !== socket) return
      this.#socket = null
      this.#closed(event.code, event.reason)
    })
  }

  #receivedText(frame: string): void {
    const { sink, events } = this.#options
    const message = parseServerMessage(frame)
    switch (message?.type) {
      case 'watch-ready':
        this.#epoch += 1
        this.#parsed = message.offset
        this.#acknowledged = message.offset
        this.#participant = message.participant
        this.#attempt = 0
        sink.reset(message)
        events.onReady(message)
        events.onState({ phase: 'open' })
        break
      case 'size':
        sink.resize(message)
        break
      case 'participants':
        events.onParticipants(message)
        this.#setRight(message.joined.find(({ participant }) => participant === this.#participant)?.input ?? 'none')
        break
      case 'notice':
        events.onNotice(message)
        break
      case 'exit':
        this.#exit = message
        break
      case 'error':
        if (!PASSING.has(message.code)) this.#error = message
        break
      default:
        break
    }
  }

  #receivedBytes(bytes: Uint8Array): void {
    const epoch = this.#epoch
    this.#options.sink.write(bytes, () => {
      if (epoch !== this.#epoch || this.#over) return
      this.#parsed += bytes.length
      if (this.#parsed - this.#acknowledged < ACK_EVERY_BYTES) return
      this.#acknowledged = this.#parsed
      this.#message({ type: 'ack', bytes: this.#parsed })
    })
  }

  #setRight(right: InputRight): void {
    if (this.#right === right) return
    this.#right = right
    this.#options.events.onInputRight(right)
  }

  #message(message: ClientMessage): void {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(message))
  }

  #closed(code: number, reason: string): void {
    if (this.#over) return
    this.#setRight('none')
    // Without an end or a decision of the hub only the network failed.
    if (this.#exit === null && isResumable(code)) this.#lost(UNREACHABLE)
    else this.#end(describeClose(code, reason, this.#exit, this.#error))
  }

  #lost(ending: Ending): void {
    if (this.#attempt >= GIVE_UP_ATTEMPTS) {
      this.#end(ending)
      return
    }
    const delay = reconnectDelay(this.#attempt, this.#options.random ?? Math.random)
    this.#attempt += 1
    this.#options.events.onState({ phase: 'waiting', retryAt: Date.now() + delay })
    this.#timer = setTimeout(() => void this.start(), delay)
  }

  #end(ending: Ending): void {
    this.#over = true
    this.#options.events.onState({ phase: 'ended', ending })
  }
}
