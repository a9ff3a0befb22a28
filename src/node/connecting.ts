import { lookup as lookUpName } from 'node:dns'
import { isIP } from 'node:net'
import { KernelError, RuntimeError } from '../base/index.ts'
import { ECONNREFUSED, ETIMEDOUT, kernelError } from '../kernel/index.ts'
import { type StreamSocket, TcpStream, UnixStream } from '../net/index.ts'
import { type Destination, isName } from './connect-options.ts'
import { nodeError, placeError, severalErrors, throwUncaught } from './errors.ts'
import { isBlocked, toUnixEndpoint } from './socket-parts.ts'

/** What a name was looked up to. */
interface Found {
  readonly address: string
  readonly family: number
}

/** Whom to tell how it goes. */
export interface ConnectingPort {
  readonly connecting: boolean
  emit(event: string, ...values: unknown[]): boolean
}

/** One call of connect(): the look-up, and the attempts, one after another. */
export class Connecting {
  readonly #port: ConnectingPort
  readonly #destination: Destination
  readonly #abort: AbortController

  constructor(port: ConnectingPort, destination: Destination) {
    this.#port = port
    this.#destination = destination
    this.#abort = new AbortController()
  }

  /** Ends it: nobody wants the connection any more, and nothing is told. */
  cancel(): void {
    this.#abort.abort()
  }

  /**
   * Begins to look the host up in this call, so that what a look-up of the user's own throws is thrown by it; resolves once an
   * address has answered, or rejects in the shape of Node's errors.
   */
  start(): Promise<StreamSocket> {
    const { path, host } = this.#destination
    if (path !== null) return this.#connectTo(path)
    const finding = isName(host)
      ? this.#lookUp()
      : Promise.resolve([{ address: host, family: isIP(host) }])
    return finding.then((addresses) => this.#tryEach(addresses))
  }

  async #connectTo(path: string): Promise<StreamSocket> {
    try {
      const { signal } = this.#abort
      return await UnixStream.connect({ ...toUnixEndpoint(path), signal })
    } catch (error) {
      throw placeError(error, 'connect', { address: path, port: 0 })
    }
  }

  async #tryEach(addresses: readonly Found[]): Promise<StreamSocket> {
    if (addresses.length === 1) return await this.#attempt(addresses[0]!, undefined)
    const errors: Error[] = []
    for (const [index, found] of addresses.entries()) {
      const isLast = index === addresses.length - 1
      try {
        return await this.#attempt(found, isLast ? undefined : this.#destination.attemptTimeoutMs)
      } catch (error) {
        if (this.#abort.signal.aborted) throw error
        errors.push(error as Error)
      }
    }
    throw severalErrors(errors)
  }

  async #attempt(found: Found, timeoutMs: number | undefined): Promise<TcpStream> {
    const { address, family } = found
    const { port } = this.#destination
    this.#tell('connectionAttempt', address, port, family)
    try {
      return await this.#connect(address, timeoutMs)
    } catch (error) {
      const isLate = error instanceof RuntimeError && error.code === 'ERR_TASK_TIMEOUT'
      const failure = this.#describe(
        isLate ? kernelError(-ETIMEDOUT, { syscall: 'connect' }) : error,
        found,
      )
      if (isLate) this.#tell('connectionAttemptTimeout', address, port, family)
      else this.#tell('connectionAttemptFailed', address, port, family, failure)
      throw failure
    }
  }

  #connect(address: string, timeoutMs: number | undefined): Promise<TcpStream> {
    const { port, noDelay, localAddress, localPort, blockList } = this.#destination
    if (isBlocked(blockList, address)) {
      throw nodeError(Error, 'ERR_IP_BLOCKED', `IP(${address}) is blocked by net.BlockList`)
    }
    // No server listens there, and the kernel says so.
    if (port === 0) throw kernelError(-ECONNREFUSED, { syscall: 'connect' })
    return TcpStream.connect({
      host: address,
      port,
      noDelay,
      signal: this.#abort.signal,
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(localAddress !== undefined && { localHost: localAddress }),
      ...(localPort !== undefined && { localPort }),
    })
  }

  #describe(error: unknown, { address, family }: Found): Error {
    const { port, localAddress, localPort = 0 } = this.#destination
    if (error instanceof KernelError && error.syscall === 'bind') {
      const host = localAddress ?? (family === 4 ? '0.0.0.0' : '::')
      return placeError(error, 'bind', { address: host, port: localPort })
    }
    return placeError(error, 'connect', { address, port })
  }

  /** What a listener throws is none of the connection's affair: nobody can catch it, as with Node's. */
  #tell(event: string, ...values: unknown[]): void {
    if (!this.#port.connecting) return
    try {
      this.#port.emit(event, ...values)
    } catch (error) {
      throwUncaught(error)
    }
  }

  #lookUp(): Promise<readonly Found[]> {
    let resolve!: (found: readonly Found[]) => void
    let reject!: (error: Error) => void
    const finding = new Promise<readonly Found[]>((onFound, onError) => {
      resolve = onFound
      reject = onError
    })
    const { host, port, family, hints, lookup, triesAll } = this.#destination
    const look = (lookup ?? lookUpName) as LookUp
    look(host, { family, hints, all: triesAll, port }, (error, answer, version) => {
      const found = Array.isArray(answer)
        ? (answer as Found[])
        : [{ address: answer, family: version }]
      if (error) {
        this.#tell('lookup', error, undefined, undefined, host)
        reject(error)
        return
      }
      for (const { address, family: of } of found) this.#tell('lookup', null, address, of, host)
      try {
        resolve(alternate(found.map((one) => checkFound(one as Found, this.#destination))))
      } catch (failure) {
        reject(failure as Error)
      }
    })
    return finding
  }
}

type LookUp = (
  host: string,
  options: { family: number; hints: number; all: boolean; port: number },
  callback: (error: Error | null, answer: unknown, family?: number) => void,
) => void

/** What a look-up of the user's own gives may be anything. */
function checkFound(found: Found, { host, port }: Destination): Found {
  const version = typeof found.address === 'string' ? isIP(found.address) : 0
  if (version === 0) {
    const message = `Invalid IP address: ${String(found.address)}`
    throw Object.assign(nodeError(TypeError, 'ERR_INVALID_IP_ADDRESS', message), { host, port })
  }
  return { address: found.address, family: version }
}

/** The families in turns, beginning with that of the first. */
function alternate(found: readonly Found[]): readonly Found[] {
  const first = found.filter(({ family }) => family === found[0]!.family)
  const other = found.filter(({ family }) => family !== found[0]!.family)
  const order: Found[] = []
  for (let index = 0; index < Math.max(first.length, other.length); index++) {
    if (index < first.length) order.push(first[index]!)
    if (index < other.length) order.push(other[index]!)
  }
  return order
}
