// @vitest-environment node
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { WebSocket as NodeWebSocket, WebSocketServer, type WebSocket as ServerSocket } from 'ws'
import { type Answer, type ConnectionServices, type ConnectionState, TerminalConnection } from './connection'
import type { Problem } from './endings'
import type { Progress } from './input-queue'
import type { ClientMessage } from './messages'

/** The hub's end of one socket: what it was asked for and what arrived. */
class Peer {
  readonly messages: ClientMessage[] = []
  readonly input: Buffer[] = []
  constructor(
    readonly socket: ServerSocket,
    readonly url: URL,
  ) {
    socket.on('message', (data: Buffer, binary: boolean) => {
      if (binary) this.input.push(data)
      else this.messages.push(JSON.parse(data.toString('utf8')) as ClientMessage)
    })
  }
  ready(fields: { offset?: number; input?: number; snapshot?: boolean; token?: string; session?: string } = {}) {
    this.say({
      type: 'ready',
      session_id: fields.session ?? 's-1',
      resume_token: fields.token ?? 'token-1',
      snapshot: fields.snapshot ?? false,
      ...(fields.offset === undefined ? {} : { offset: fields.offset }),
      ...(fields.input === undefined ? {} : { input: fields.input }),
    })
  }
  say(message: object) {
    this.socket.send(JSON.stringify(message))
  }
  bytes(data: Uint8Array | string) {
    this.socket.send(typeof data === 'string' ? Buffer.from(data) : data, { binary: true })
  }
  get acks(): number[] {
    return this.messages.flatMap((message) => (message.type === 'ack' ? [message.bytes] : []))
  }
  get sizes(): string[] {
    return this.messages.flatMap((message) => (message.type === 'resize' ? [`${message.cols}x${message.rows}`] : []))
  }
}

const refused = (status: number, code: string): Answer<never> => {
  const problem: Problem = { status, code, title: 'Refused', detail: `because of ${code}` }
  return { ok: false, problem }
}

let server: WebSocketServer
let peers: Peer[]
let protocols: string[]
let refuseUpgrade: boolean
let open: TerminalConnection[]

beforeEach(async () => {
  peers = []
  protocols = []
  open = []
  refuseUpgrade = false
  server = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    handleProtocols: (offered) => {
      protocols.push(...offered)
      return [...offered][0] ?? false
    },
    verifyClient: () => !refuseUpgrade,
  })
  server.on('connection', (socket, request) => {
    peers.push(new Peer(socket, new URL(request.url ?? '', 'http://hub.invalid')))
  })
  await once(server, 'listening')
})

afterEach(async () => {
  for (const connection of open) connection.dispose()
  for (const client of server.clients) client.terminate()
  server.close()
  await once(server, 'close')
})

function start(overrides: { services?: Partial<ConnectionServices>; sessionId?: string; holdParsing?: boolean } = {}) {
  const written: Uint8Array[] = []
  const parses: (() => void)[] = []
  const log = {
    states: [] as ConnectionState[],
    transfers: [] as (Progress | null)[],
    interrupted: [] as Progress[],
    refusedInput: 0,
    lost: [] as number[],
    silences: [] as boolean[],
    notices: [] as string[],
    resets: [] as number[],
    replays: [] as number[],
    resumes: [] as string[],
    terminated: [] as string[],
  }
  const connection = new TerminalConnection({
    base: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    targetId: 't-1',
    credentialId: 'c-1',
    reason: 'ticket 7 & more',
    sessionId: overrides.sessionId ?? null,
    size: { cols: 100, rows: 30 },
    random: () => 0.02,
    socket: (url, protocol) => {
      const socket = new NodeWebSocket(url, protocol)
      // Node throws an error nobody listens to; a browser only closes.
      socket.on('error', () => {})
      return socket as unknown as WebSocket
    },
    services: {
      preflight: async () => ({ ok: true, value: 'request-1' }),
      explain: async () => ({ ok: true, value: null }),
      resume: async (id) => {
        log.resumes.push(id)
        return { ok: true, value: { resumeToken: 'fresh' } }
      },
      terminate: async (id) => {
        log.terminated.push(id)
        return { ok: true, value: undefined }
      },
      alive: async () => true,
      ...overrides.services,
    },
    sink: {
      write: (bytes, parsed) => {
        written.push(bytes.slice())
        if (overrides.holdParsing) parses.push(parsed)
        else queueMicrotask(parsed)
      },
      reset: () => log.resets.push(written.length),
      replay: () => log.replays.push(written.length),
    },
    events: {
      onState: (state) => log.states.push(state),
      onSession: () => {},
      onNotice: (notice) => log.notices.push(notice.message),
      onParticipants: () => undefined,
      onStats: () => {},
      onTransfer: (progress) => log.transfers.push(progress),
      onTransferInterrupted: (progress) => log.interrupted.push(progress),
      onInputRefused: () => (log.refusedInput += 1),
      onInputLost: (bytes) => log.lost.push(bytes),
      onSilence: (since) => log.silences.push(since !== null),
    },
  })
  open.push(connection)
  void connection.start()
  return { connection, log, parses, received: () => Buffer.concat(written) }
}

/** The peer of the socket with this number, once it is there. */
const peer = (index: number) =>
  vi.waitFor(() => {
    const found = peers[index]
    if (!found) throw new Error(`socket ${index} was never opened`)
    return found
  })

const phase = (connection: TerminalConnection, wanted: ConnectionState['phase']) =>
  vi.waitFor(() => expect(connection.state.phase).toBe(wanted), { timeout: 4000 })

async function opened(overrides: Parameters<typeof start>[0] = {}) {
  const terminal = start(overrides)
  const hub = await peer(0)
  hub.ready({ offset: 0, input: 0 })
  await phase(terminal.connection, 'open')
  return { ...terminal, hub }
}

describe('opening', () => {
  test('asks for the subprotocol and says target, credential, size and reason', async () => {
    const { hub } = await opened()
    expect(protocols).toEqual(['openpam.terminal.v1'])
    expect(hub.url.pathname).toBe('/api/ws/connect/ssh/t-1')
    expect(Object.fromEntries(hub.url.searchParams)).toEqual({
      credential_id: 'c-1',
      cols: '100',
      rows: '30',
      reason: 'ticket 7 & more',
    })
  })

  test('a refusal of the preflight ends it in words and opens no socket', async () => {
    const { connection } = start({ services: { preflight: async () => refused(403, 'window_closed') } })
    await phase(connection, 'ended')
    expect(connection.state).toMatchObject({ ending: { kind: 'access', code: 'window_closed', detail: 'because of window_closed' } })
    expect(peers).toHaveLength(0)
  })

  test('an upgrade that is refused is explained by a second preflight', async () => {
    refuseUpgrade = true
    let asked = 0
    const preflight = async (): Promise<Answer<string | null>> => {
      asked += 1
      return asked === 1 ? { ok: true, value: 'request-1' } : refused(409, 'host_key_changed')
    }
    const { connection } = start({ services: { preflight } })
    await phase(connection, 'ended')
    expect(asked).toBe(2)
    expect(connection.state).toMatchObject({ ending: { kind: 'failed', code: 'host_key_changed' } })
  })
})

describe('a refused upgrade that the preflight knows nothing of', () => {
  test('is explained by the failed session the hub kept', async () => {
    refuseUpgrade = true
    const problem = { status: 502, code: 'target_unreachable', title: 'Could not connect', detail: 'No route to 10.0.0.9.' }
    const ids = ['request-1', 'request-2']
    const preflight: ConnectionServices['preflight'] = async () => ({ ok: true, value: ids.shift() ?? null })
    const explain = vi.fn<ConnectionServices['explain']>(async () => ({ ok: true, value: problem }))
    const { connection } = start({ services: { preflight, explain } })
    await phase(connection, 'ended')
    expect(explain).toHaveBeenCalledExactlyOnceWith('t-1', 'request-1')
    expect(connection.state).toMatchObject({ ending: { kind: 'failed', code: 'target_unreachable', detail: 'No route to 10.0.0.9.' } })
  })

  test('is called cut where the hub kept nothing', async () => {
    refuseUpgrade = true
    const { connection } = start()
    await phase(connection, 'ended')
    expect(connection.state).toMatchObject({ ending: { code: 'connection_cut' } })
  })
})

describe('acknowledging', () => {
  test('counts parsed bytes and tells every 32 KiB, not what merely arrived', async () => {
    const { hub, parses } = await opened({ holdParsing: true })
    for (let sent = 0; sent < 8; sent += 1) hub.bytes(new Uint8Array(10_000))
    await vi.waitFor(() => expect(parses).toHaveLength(8))
    expect(hub.acks).toEqual([])
    for (const parsed of parses.splice(0)) parsed()
    await vi.waitFor(() => expect(hub.acks).toEqual([40_000, 80_000]))
  })

  test('after a resume the count goes on, and what was parsed meanwhile is told at once', async () => {
    const { hub, connection, parses } = await opened({ holdParsing: true })
    hub.bytes(new Uint8Array(20_000))
    await vi.waitFor(() => expect(parses).toHaveLength(1))
    hub.socket.terminate()
    const second = await peer(1)
    for (const parsed of parses.splice(0)) parsed()
    second.ready({ offset: 20_000 })
    await phase(connection, 'open')
    await vi.waitFor(() => expect(second.acks).toEqual([20_000]))
  })
})

describe('resuming', () => {
  test('continues at the byte after the last one received', async () => {
    const { hub, connection, log, received } = await opened()
    hub.bytes('hello ')
    await vi.waitFor(() => expect(received().toString()).toBe('hello '))
    hub.socket.terminate()
    const second = await peer(1)
    expect(Object.fromEntries(second.url.searchParams)).toMatchObject({
      session_id: 's-1',
      resume_token: 'token-1',
      offset: '6',
    })
    second.ready({ offset: 6, token: 'token-2' })
    second.bytes('world')
    await vi.waitFor(() => expect(received().toString()).toBe('hello world'))
    expect(connection.offset).toBe(11)
    // Bytes that were never shown are no replay.
    expect(log.replays).toEqual([])
  })

  test('counts bytes, not characters, and a character split over frames and sockets arrives whole', async () => {
    const { hub, connection, received } = await opened()
    const text = Buffer.from('prix: 5 € 🚀')
    const cut = text.indexOf(0xe2) + 1
    hub.bytes(text.subarray(0, cut))
    await vi.waitFor(() => expect(connection.offset).toBe(cut))
    hub.socket.terminate()
    const second = await peer(1)
    expect(second.url.searchParams.get('offset')).toBe(String(cut))
    second.ready({ offset: cut })
    for (const byte of text.subarray(cut)) second.bytes(Uint8Array.of(byte))
    await vi.waitFor(() => expect(received().toString('utf8')).toBe('prix: 5 € 🚀'))
    expect(connection.offset).toBe(text.length)
  })

  test('a snapshot clears the screen first, and positions follow what the hub says', async () => {
    const { hub, connection, log, received } = await opened()
    hub.bytes('old')
    await vi.waitFor(() => expect(connection.offset).toBe(3))
    hub.socket.terminate()
    const second = await peer(1)
    second.ready({ snapshot: true, offset: 5_000_000 })
    second.bytes('new screen')
    await vi.waitFor(() => expect(received().toString()).toBe('oldnew screen'))
    expect(log.resets).toEqual([1])
    expect(log.replays).toEqual([1])
    expect(connection.offset).toBe(5_000_010)
  })

  test('bytes of before a snapshot that are parsed late are not acknowledged in its count', async () => {
    const { hub, connection, parses } = await opened({ holdParsing: true })
    hub.bytes(new Uint8Array(40_000))
    await vi.waitFor(() => expect(parses).toHaveLength(1))
    hub.socket.terminate()
    const second = await peer(1)
    second.ready({ snapshot: true, offset: 900_000 })
    await phase(connection, 'open')
    parses.shift()?.()
    second.bytes(new Uint8Array(32_768))
    await vi.waitFor(() => expect(parses).toHaveLength(1))
    parses.shift()?.()
    await vi.waitFor(() => expect(second.acks).toEqual([932_768]))
  })

  test('a page that was reloaded asks for a fresh token and starts at nothing', async () => {
    const { log } = start({ sessionId: 's-9' })
    const hub = await peer(0)
    expect(log.resumes).toEqual(['s-9'])
    expect(Object.fromEntries(hub.url.searchParams)).toMatchObject({ session_id: 's-9', resume_token: 'fresh', offset: '0' })
    hub.ready({ session: 's-9', offset: 0 })
    await vi.waitFor(() => expect(log.replays).toEqual([0]))
  })

  test('a token that was used up is not used twice', async () => {
    const { hub, log } = await opened()
    hub.socket.terminate()
    const second = await peer(1)
    second.socket.terminate()
    const third = await peer(2)
    expect(second.url.searchParams.get('resume_token')).toBe('token-1')
    expect(third.url.searchParams.get('resume_token')).toBe('fresh')
    expect(log.resumes).toEqual(['s-1'])
  })

  test('a session that is gone ends it; an unreachable hub is tried again', async () => {
    const answers: Answer<{ resumeToken: string }>[] = [{ ok: false, problem: null }, refused(503, 'unavailable'), refused(404, 'not_found')]
    const resume = async () => answers.shift() ?? refused(500, 'too_often')
    const { connection, log } = start({ sessionId: 's-9', services: { resume } })
    await phase(connection, 'ended')
    expect(connection.state).toMatchObject({ ending: { kind: 'lost', code: 'not_found' } })
    expect(log.states.filter((state) => state.phase === 'waiting')).toHaveLength(2)
    expect(answers).toHaveLength(0)
  })
})

const typed = (text: string) => new TextEncoder().encode(text)
const arrived = (hub: Peer) => Buffer.concat(hub.input).toString()

describe('input over a link that died', () => {
  test('is sent again from where the hub had taken it, before what was typed meanwhile', async () => {
    const { hub, connection } = await opened()
    connection.send(typed('echo one\r'))
    await vi.waitFor(() => expect(arrived(hub)).toBe('echo one\r'))
    connection.send(typed('echo two\r'))
    hub.socket.terminate()
    await vi.waitFor(() => expect(connection.state.phase).not.toBe('open'))
    connection.send(typed('echo three\r'))
    const second = await peer(1)
    second.ready({ offset: 0, input: 9 })
    await vi.waitFor(() => expect(arrived(second)).toBe('echo two\recho three\r'))
    // Taken now: nothing is sent a third time.
    second.socket.terminate()
    const third = await peer(2)
    third.ready({ offset: 0, input: 29 })
    await phase(connection, 'open')
    connection.send(typed('x'))
    await vi.waitFor(() => expect(arrived(third)).toBe('x'))
  })

  test('is not sent again by a page that did not send it, nor where the hub does not count', async () => {
    const { connection } = start({ sessionId: 's-9' })
    const hub = await peer(0)
    hub.ready({ session: 's-9', offset: 0, input: 700 })
    await phase(connection, 'open')
    connection.send(typed('ab'))
    hub.socket.terminate()
    const second = await peer(1)
    second.ready({ session: 's-9', offset: 0, input: 701 })
    await vi.waitFor(() => expect(arrived(second)).toBe('b'))
    second.socket.terminate()
    const third = await peer(2)
    third.ready({ session: 's-9', offset: 0 })
    await phase(connection, 'open')
    connection.send(typed('c'))
    await vi.waitFor(() => expect(arrived(third)).toBe('c'))
  })

  test('that is not kept any more is called lost', async () => {
    const { hub, connection, log } = await opened()
    connection.send(new Uint8Array(1_200_000).fill(0x61))
    await vi.waitFor(() => expect(Buffer.concat(hub.input).length).toBe(1_200_000), { timeout: 5000 })
    hub.socket.terminate()
    const second = await peer(1)
    second.ready({ offset: 0, input: 10 })
    await vi.waitFor(() => expect(log.lost).toEqual([1_199_990]))
    expect(second.input).toEqual([])
  })

  test('is told about when the hub does not answer, and a new socket is opened when it does', async () => {
    let alive = false
    let asked = 0
    const services = { alive: async () => ((asked += 1), alive) }
    const { connection, log } = await opened({ services })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      await vi.advanceTimersByTimeAsync(60_000)
      expect(asked, 'nothing is asked while nobody types').toBe(0)
      connection.send(typed('ls\r'))
      await vi.advanceTimersByTimeAsync(3_900)
      expect(log.silences).toEqual([])
      await vi.advanceTimersByTimeAsync(200)
      expect(log.silences).toEqual([true])
      alive = true
      await vi.advanceTimersByTimeAsync(4_100)
      expect(log.silences).toEqual([true, false])
    } finally {
      vi.useRealTimers()
    }
    const second = await peer(1)
    second.ready({ offset: 0, input: 0 })
    await vi.waitFor(() => expect(arrived(second)).toBe('ls\r'))
  })

  test('that is merely not answered by the program says nothing', async () => {
    const { connection, log } = await opened()
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    connection.send(typed('secret'))
    await vi.advanceTimersByTimeAsync(20_000)
    vi.useRealTimers()
    expect(log.silences).toEqual([])
    expect(connection.state.phase).toBe('open')
  })
})

describe('ending', () => {
  test.each([
    [4001, 'access'],
    [4003, 'terminated'],
    [4008, 'idle'],
    [4500, 'failed'],
    [1000, 'exit'],
  ])('close code %i is told as "%s" and not resumed', async (code, kind) => {
    const { hub, connection } = await opened()
    hub.socket.close(code, '')
    await phase(connection, 'ended')
    expect(connection.state).toMatchObject({ ending: { kind } })
    expect(peers).toHaveLength(1)
  })

  test('exit status and the message of an error are kept', async () => {
    const { hub, connection } = await opened()
    hub.say({ type: 'exit', status: 3, reason: 'exited' })
    hub.socket.close(1000)
    await phase(connection, 'ended')
    expect(connection.state).toMatchObject({ ending: { kind: 'exit', title: 'The shell exited with status 3', exitStatus: 3 } })
  })

  test('a session that another window continued says so and is left to it', async () => {
    const { hub, connection } = await opened()
    hub.say({ type: 'error', code: 'resumed_elsewhere', message: 'Continued in another window.' })
    hub.socket.close(1000, 'resumed_elsewhere')
    await phase(connection, 'ended')
    expect(connection.state).toMatchObject({ ending: { kind: 'moved' } })
    expect(peers).toHaveLength(1)
  })

  test('a message the hub did not understand does not spoil a good end', async () => {
    const { hub, connection } = await opened()
    hub.say({ type: 'error', code: 'unknown_message', message: '?' })
    hub.say({ type: 'exit', status: 0, reason: 'The program ended.' })
    hub.socket.close(1000, 'ended')
    await phase(connection, 'ended')
    expect(connection.state).toMatchObject({ ending: { kind: 'exit', title: 'The session ended' } })
  })

  test('an error before the session is ready is shown with its code', async () => {
    const { connection } = start()
    const hub = await peer(0)
    hub.say({ type: 'error', code: 'host_key_changed', message: 'The host key changed.' })
    hub.socket.close(1000)
    await phase(connection, 'ended')
    expect(connection.state).toMatchObject({ ending: { kind: 'failed', code: 'host_key_changed', detail: 'The host key changed.' } })
  })

  test('the request id of an error is kept for whoever is asked for help; else that of the connection', async () => {
    const { connection } = start()
    const first = await peer(0)
    first.say({ type: 'error', code: 'host_key_changed', message: 'The host key changed.', request_id: 'r-1' })
    first.socket.close(1000)
    await phase(connection, 'ended')
    expect(connection.state).toMatchObject({ ending: { code: 'host_key_changed', requestId: 'r-1' } })

    const again = start()
    const second = await peer(1)
    second.say({ type: 'ready', session_id: 's-1', resume_token: 't', snapshot: false, request_id: 'r-2' })
    await phase(again.connection, 'open')
    second.say({ type: 'error', code: 'connection_lost', message: 'The target is gone.' })
    second.socket.close(4500)
    await phase(again.connection, 'ended')
    expect(again.connection.state).toMatchObject({ ending: { code: 'connection_lost', requestId: 'r-2' } })
  })

  test('the request id of a refusal is kept', async () => {
    const problem: Problem = { status: 403, code: 'access_denied', title: 'No', detail: '', requestId: 'r-3' }
    const { connection } = start({ services: { preflight: () => Promise.resolve({ ok: false, problem }) } })
    await phase(connection, 'ended')
    expect(connection.state).toMatchObject({ ending: { code: 'access_denied', requestId: 'r-3' } })
  })

  test('who ended a session and why is said as the hub says it', async () => {
    const { hub, connection } = await opened()
    hub.say({ type: 'exit', reason: 'Ended by Olga Ortiz: change freeze' })
    hub.socket.close(4003)
    await phase(connection, 'ended')
    expect(connection.state).toMatchObject({ ending: { title: 'This session was ended', detail: 'Ended by Olga Ortiz: change freeze' } })
  })

  test('disconnect asks the hub to end the session', async () => {
    const { hub, connection, log } = await opened()
    void connection.disconnect()
    await vi.waitFor(() => expect(hub.messages).toContainEqual({ type: 'disconnect' }))
    hub.socket.close(1000)
    await phase(connection, 'ended')
    expect(log.terminated).toEqual([])
  })

  test('disconnect without a socket ends the session through the API', async () => {
    const { hub, connection, log } = await opened({ services: { resume: async () => ({ ok: false, problem: null }) } })
    refuseUpgrade = true
    hub.socket.terminate()
    await phase(connection, 'waiting')
    await connection.disconnect()
    expect(connection.state.phase).toBe('ended')
    expect(log.terminated).toEqual(['s-1'])
  })
})

describe('sending', () => {
  test('a paste of 1 MB arrives complete, in order, in bounded frames', async () => {
    const { hub, connection, log } = await opened()
    const paste = new Uint8Array(1_000_000).map((_, index) => (index * 31) % 251)
    connection.send(paste)
    await vi.waitFor(() => expect(Buffer.concat(hub.input).length).toBe(paste.length), { timeout: 5000 })
    expect(Buffer.concat(hub.input).equals(Buffer.from(paste))).toBe(true)
    expect(Math.max(...hub.input.map((frame) => frame.length))).toBeLessThanOrEqual(16 * 1024)
    await vi.waitFor(() => expect(log.transfers.at(-1)).toBeNull())
    expect(log.interrupted).toEqual([])
  })

  test('Ctrl-C abandons the rest of a paste that the socket cannot take', async () => {
    const { hub, connection, log } = await opened()
    hub.socket.pause()
    connection.send(new Uint8Array(32_000_000).fill(0x61))
    connection.send(Uint8Array.of(0x03))
    expect(log.interrupted).toHaveLength(1)
    expect(log.interrupted[0]?.sent).toBeLessThan(32_000_000)
    hub.socket.resume()
    await vi.waitFor(() => expect(hub.input.at(-1)).toEqual(Buffer.of(0x03)))
  })

  test('keys typed while reconnecting arrive afterwards; more than a little is refused, not lost in silence', async () => {
    const { hub, connection, log } = await opened()
    hub.socket.terminate()
    await vi.waitFor(() => expect(connection.state.phase).not.toBe('open'))
    connection.send(new TextEncoder().encode('ls\r'))
    connection.send(new Uint8Array(5000))
    expect(log.refusedInput).toBe(1)
    const second = await peer(1)
    second.ready({ offset: 0 })
    await vi.waitFor(() => expect(Buffer.concat(second.input).toString()).toBe('ls\r'))
  })

  test('the size is told once it settles, and only when it differs', async () => {
    const { hub, connection } = await opened()
    connection.resize({ cols: 90, rows: 20 })
    connection.resize({ cols: 100, rows: 30 })
    connection.resize({ cols: 120, rows: 40 })
    await vi.waitFor(() => expect(hub.sizes).toEqual(['120x40']))
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    connection.resize({ cols: 121, rows: 40 })
    connection.resize({ cols: 120, rows: 40 })
    vi.advanceTimersByTime(1000)
    vi.useRealTimers()
    connection.send(Uint8Array.of(0x78))
    await vi.waitFor(() => expect(hub.input).toHaveLength(1))
    expect(hub.sizes).toEqual(['120x40'])
  })

  test('notices reach the person, unknown messages change nothing', async () => {
    const { hub, connection, log } = await opened()
    hub.say({ type: 'from-the-future', message: '?' })
    hub.socket.send('not json')
    hub.say({ type: 'notice', message: 'Ends in 5 min', ends_at: '2030-01-01T00:00:00Z' })
    await vi.waitFor(() => expect(log.notices).toEqual(['Ends in 5 min']))
    expect(connection.state.phase).toBe('open')
  })
})
