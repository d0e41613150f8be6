import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { Answer } from './connection'
import type { TerminalSize } from './messages'
import { WatchConnection, type WatchState } from './watch-connection'

class FakeSocket extends EventTarget {
  binaryType = ''
  readyState = 1
  readonly sent: unknown[] = []
  constructor(readonly url: string) {
    super()
  }
  send(data: unknown) {
    this.sent.push(typeof data === 'string' ? JSON.parse(data) : data)
  }
  close() {
    this.readyState = 3
  }
  say(message: object) {
    this.dispatchEvent(new MessageEvent('message', { data: JSON.stringify(message) }))
  }
  output(length: number) {
    this.dispatchEvent(new MessageEvent('message', { data: new Uint8Array(length).buffer }))
  }
  end(code: number, reason = '') {
    this.readyState = 3
    this.dispatchEvent(Object.assign(new Event('close'), { code, reason }))
  }
}

const READY = { type: 'ready', session_id: 's', participant: 'p', user_name: 'bob', offset: 0, snapshot: true, recorded: true, cols: 80, rows: 24 }

const size = ({ cols, rows }: TerminalSize) => `${cols}x${rows}`

function setUp(mode: 'watch' | 'join' = 'watch', preflight: Answer<void> = { ok: true, value: undefined }) {
  const sockets: FakeSocket[] = []
  const drawn: (string | number)[] = []
  const states: WatchState[] = []
  const rights: string[] = []
  const pending: (() => void)[] = []
  const connection = new WatchConnection({
    base: 'https://hub.example',
    sessionId: 's',
    mode,
    preflight: () => Promise.resolve(preflight),
    sink: {
      reset: (to) => drawn.push(`reset ${size(to)}`),
      resize: (to) => drawn.push(size(to)),
      write: (bytes, parsed) => {
        drawn.push(bytes.length)
        pending.push(parsed)
      },
    },
    events: {
      onState: (state) => states.push(state),
      onReady: () => undefined,
      onNotice: () => undefined,
      onParticipants: () => undefined,
      onInputRight: (right) => rights.push(right),
    },
    socket: (url) => {
      const socket = new FakeSocket(url)
      sockets.push(socket)
      return socket as unknown as WebSocket
    },
    random: () => 0,
  })
  return { connection, sockets, drawn, states, rights, parse: () => pending.splice(0).forEach((parsed) => parsed()) }
}

async function opened(mode: 'watch' | 'join' = 'watch') {
  const all = setUp(mode)
  await all.connection.start()
  const [socket] = all.sockets
  if (!socket) throw new Error('no socket was opened')
  socket.say(READY)
  return { ...all, socket }
}

beforeEach(() => void vi.useFakeTimers())

describe('watching', () => {
  it('draws the screen at the size of the session, and follows it', async () => {
    const { socket, drawn } = await opened()
    expect(socket.url).toBe('wss://hub.example/api/ws/watch/s?mode=watch')
    socket.output(10)
    socket.say({ type: 'size', cols: 100, rows: 30 })
    socket.output(20)
    expect(drawn).toEqual(['reset 80x24', 10, '100x30', 20])
  })

  it('acknowledges what is on the screen, and counts anew after a fresh one', async () => {
    const { socket, parse } = await opened()
    socket.output(40_000)
    expect(socket.sent).toEqual([])
    parse()
    expect(socket.sent).toEqual([{ type: 'ack', bytes: 40_000 }])
    socket.output(50_000)
    socket.say({ ...READY, offset: 90_000 })
    parse()
    expect(socket.sent).toHaveLength(1)
    socket.output(40_000)
    parse()
    expect(socket.sent.at(-1)).toEqual({ type: 'ack', bytes: 130_000 })
  })

  it('sends nothing that is typed unless it is allowed', async () => {
    const { connection, socket, rights } = await opened('join')
    const key = new Uint8Array([97])
    connection.send(key)
    connection.requestInput()
    const joined = (input: string) => socket.say({ type: 'participants', watching: [], joined: [{ participant: 'other', name: 'x', input: 'granted' }, { participant: 'p', name: 'me', input }] })
    joined('asked')
    connection.send(key)
    joined('granted')
    connection.send(key)
    joined('none')
    connection.send(key)
    expect(rights).toEqual(['asked', 'granted', 'none'])
    expect(socket.sent).toEqual([{ type: 'request_input' }, key])
  })

  it('says how the session ended, and comes back after a lost connection', async () => {
    const { socket, sockets, states } = await opened()
    socket.end(1006)
    expect(states.at(-1)?.phase).toBe('waiting')
    await vi.runAllTimersAsync()
    expect(sockets).toHaveLength(2)
    sockets[1]?.say(READY)
    sockets[1]?.say({ type: 'error', code: 'read_only', message: 'no' })
    sockets[1]?.say({ type: 'error', code: 'terminated', message: 'admin ended this session: enough' })
    sockets[1]?.say({ type: 'exit', reason: 'admin ended this session: enough' })
    sockets[1]?.end(4003, 'terminated')
    expect(states.at(-1)).toMatchObject({ phase: 'ended', ending: { kind: 'terminated', detail: 'admin ended this session: enough' } })
  })

  it('opens no socket where the hub refuses', async () => {
    const problem = { status: 409, code: 'session_ended', title: 'Conflict', detail: 'This session has ended already.' }
    const { connection, sockets, states } = setUp('watch', { ok: false, problem })
    await connection.start()
    expect(sockets).toHaveLength(0)
    expect(states.at(-1)).toMatchObject({ phase: 'ended', ending: { code: 'session_ended' } })
  })

  it('leaves with a word, and hears nothing more', async () => {
    const { connection, socket, states } = await opened()
    connection.dispose()
    socket.end(1000)
    expect(socket.sent).toEqual([{ type: 'disconnect' }])
    expect(states.at(-1)?.phase).toBe('open')
  })
})
