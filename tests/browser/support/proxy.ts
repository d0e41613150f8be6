/** A TCP proxy that can fail: cuts, refuses or silences connections without touching the server behind. */
import net from 'node:net'
import type { AddressInfo } from 'node:net'

export type Fault = 'none' | 'refuse' | 'silence'

/** A listener on loopback below the range from which the system takes outgoing ports. */
export async function listenOnFreePort(server: net.Server): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    const bound = await new Promise<boolean>((resolve) => {
      const failed = () => resolve(false)
      server.once('error', failed)
      server.listen(port, '127.0.0.1', () => {
        server.off('error', failed)
        resolve(true)
      })
    })
    if (bound) return (server.address() as AddressInfo).port
  }
  throw new Error('no free port between 20000 and 31999')
}

/** A port on which nothing listens (anymore). */
export async function closedPort(): Promise<number> {
  const server = net.createServer()
  const port = await listenOnFreePort(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}

export class FaultProxy {
  readonly #server: net.Server
  readonly #pairs = new Set<[net.Socket, net.Socket | null]>()
  #upstream: { host: string; port: number }
  #fault: Fault = 'none'
  port = 0

  private constructor(upstream: { host: string; port: number }) {
    this.#upstream = upstream
    this.#server = net.createServer((client) => this.#accept(client))
  }

  /** Starts in front of `host:port`. */
  static async start(host: string, port: number): Promise<FaultProxy> {
    const proxy = new FaultProxy({ host, port })
    proxy.port = await listenOnFreePort(proxy.#server)
    return proxy
  }

  /** In front of the server of an `http://` URL. */
  static inFrontOf(url: string): Promise<FaultProxy> {
    const { hostname, port } = new URL(url)
    return FaultProxy.start(hostname, Number(port))
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Connections from now on go to another server. */
  redirect(host: string, port: number): void {
    this.#upstream = { host, port }
    this.cut()
  }

  /** What happens from now on, to connections that exist too. */
  set(fault: Fault): void {
    this.#fault = fault
    if (fault === 'refuse') this.cut()
  }

  /** Ends every connection that exists, as a broken network does. */
  cut(): void {
    for (const [client, server] of this.#pairs) {
      client.resetAndDestroy()
      server?.destroy()
    }
    this.#pairs.clear()
  }

  async stop(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(client: net.Socket): void {
    client.on('error', () => client.destroy())
    if (this.#fault === 'refuse') {
      client.resetAndDestroy()
      return
    }
    const silent = this.#fault === 'silence'
    const server = silent ? null : net.connect({ ...this.#upstream, noDelay: true })
    const pair: [net.Socket, net.Socket | null] = [client, server]
    this.#pairs.add(pair)
    client.setNoDelay(true)
    client.on('close', () => {
      this.#pairs.delete(pair)
      server?.destroy()
    })
    if (!server) {
      client.resume()
      return
    }
    server.on('error', () => client.destroy())
    server.on('close', () => client.destroy())
    const pass = (from: net.Socket, to: net.Socket) =>
      from.on('data', (data) => {
        if (this.#fault === 'silence') return
        if (!to.write(data)) {
          from.pause()
          to.once('drain', () => from.resume())
        }
      })
    pass(client, server)
    pass(server, client)
    client.on('end', () => server.end())
    server.on('end', () => client.end())
  }
}
