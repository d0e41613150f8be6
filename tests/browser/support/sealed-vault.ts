/** A second, real OpenBao that has been initialised and is sealed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { closedPort } from './proxy.ts'
import { stack } from './stack.ts'
import { eventually } from './wait.ts'

export class SealedVault {
  readonly port: number
  readonly #child: ChildProcess
  readonly #folder: string

  private constructor(port: number, child: ChildProcess, folder: string) {
    this.port = port
    this.#child = child
    this.#folder = folder
  }

  static async start(): Promise<SealedVault> {
    const [port, clusterPort] = [await closedPort(), await closedPort()]
    const folder = mkdtempSync(join(tmpdir(), 'openpam-sealed-'))
    const config = join(folder, 'config.hcl')
    writeFileSync(
      config,
      `storage "raft" {
  path = "${folder}"
  node_id = "sealed"
}
api_addr = "http://127.0.0.1:${port}"
cluster_addr = "http://127.0.0.1:${clusterPort}"
listener "tcp" {
  address = "127.0.0.1:${port}"
  cluster_address = "127.0.0.1:${clusterPort}"
  tls_disable = true
}
`,
    )
    // The stack's own binary, which its running process names.
    const binary = readlinkSync(`/proc/${stack.servers.openbao.pid}/exe`)
    const child = spawn(binary, ['server', `-config=${config}`], { stdio: 'ignore' })
    const address = `http://127.0.0.1:${port}/v1/sys`
    await eventually('a second OpenBao listens', async () => (await fetch(`${address}/seal-status`)).ok, 20_000)
    const made = await fetch(`${address}/init`, {
      method: 'PUT',
      body: JSON.stringify({ secret_shares: 1, secret_threshold: 1 }),
    })
    if (!made.ok) throw new Error(`the second OpenBao could not be initialised: ${await made.text()}`)
    const status = (await (await fetch(`${address}/seal-status`)).json()) as { sealed: boolean; initialized: boolean }
    if (!status.sealed || !status.initialized) throw new Error(`the second OpenBao is not sealed: ${JSON.stringify(status)}`)
    return new SealedVault(port, child, folder)
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.kill('SIGKILL')
    await ended
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
