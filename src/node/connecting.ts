import { lookup as lookUpName } from 'node:dns'
import { isIP } from 'node:net'
import { RuntimeError } from '../base/index.ts'
import { ECONNREFUSED, ETIMEDOUT, kernelError } from '../kernel/index.ts'
import { TcpStream } from '../net/index.ts'
import { type Destination, isName } from './connect-options.ts'
import { nodeError, placeError, severalErrors } from './errors.ts'

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

  /** Connects to the first address that answers. @throws in the shape of Node's errors. */
  async run(): Promise<TcpStream> {
    const addresses = await this.#resolve()
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

  async #attempt({ address, family }: Found, timeoutMs: number | undefined): Promise<TcpStream> {
    const { port, noDelay } = this.#destination
    this.#tell('connectionAttempt', address, port, family)
    try {
      // No server listens there, and the kernel says so.
      if (port === 0) throw kernelError(-ECONNREFUSED, { syscall: 'connect' })
      const { signal } = this.#abort
      const limit = timeoutMs === undefined ? {} : { timeoutMs }
      return await TcpStream.connect({ host: address, port, noDelay, signal, ...limit })
    } catch (error) {
      const isLate = error instanceof RuntimeError && error.code === 'ERR_TASK_TIMEOUT'
      const cause = isLate ? kernelError(-ETIMEDOUT, { syscall: 'connect' }) : error
      const failure = placeError(cause, 'connect', { address, port })
      if (isLate) this.#tell('connectionAttemptTimeout', address, port, family)
      else this.#tell('connectionAttemptFailed', address, port, family, failure)
      throw failure
    }
  }

  /** Listeners of these events are the exception. */
  #tell(event: string, ...values: unknown[]): void {
    if (this.#port.connecting) this.#port.emit(event, ...values)
  }

  #resolve(): Promise<readonly Found[]> {
    const { host } = this.#destination
    if (!isName(host)) return Promise.resolve([{ address: host, family: isIP(host) }])
    return new Promise((resolve, reject) => this.#lookUp(resolve, reject))
  }

  #lookUp(resolve: (found: readonly Found[]) => void, reject: (error: Error) => void): void {
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
