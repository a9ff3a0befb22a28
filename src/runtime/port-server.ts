/** How a driver serves ports; loaded by those drivers alone that are to serve one. */
import { assert, findExport, isPeerGone, RuntimeError, recordError } from '../base/index.ts'
import type { Executor, Task } from '../executor/index.ts'
import type { Address, UdpSocket } from '../net/index.ts'
import { FailureLots } from './failure-lots.ts'
import type { FromPort, PortProgram, ToPort } from './port-messages.ts'
import { breakOff, namePort, type PortListener, placeOf, reopenSocket } from './port-transport.ts'
import { ServedPort, type ServedStream } from './served-port.ts'
import { ServedSocket } from './served-socket.ts'

/** What ports need of the driver that they are on. */
export interface PortHost {
  readonly executor: Executor
  /** Loads the module of that URL: its exports. */
  load(module: string): Promise<unknown>
  post(message: FromPort): void
  setTimer(delayMs: number, callback: () => void): () => void
}

/** The ports of one driver, by their numbers. */
export class PortServers {
  readonly #host: PortHost
  readonly #servers = new Map<number, PortServer>()
  #isClosing = false
  #onClosed: (() => void) | null = null

  constructor(host: PortHost) {
    this.#host = host
  }

  hear(message: ToPort): void {
    const { port } = message
    if (message.kind === 'openPort') {
      assert(!this.#servers.has(port), 'a port has a number of its own')
      const server = new PortServer(this.#host, port, message.program)
      this.#servers.set(port, server)
      void server.open().then((isOpen) => {
        if (!isOpen) this.#forget(port)
        else if (this.#isClosing) this.#close(port, server)
      })
      return
    }
    const server = this.#servers.get(port)
    // One that was refused, or that a stop has closed, is gone.
    if (server === undefined) return
    if (message.kind === 'servePort') server.serve()
    else if (message.kind === 'failuresTaken') server.failures.taken()
    else {
      this.#host.setTimer(message.cutAfterMs, () => server.cut())
      this.#close(port, server)
    }
  }

  /** Stops listening everywhere; resolves once no connection is left. Nothing is cut: that is for the executor's close. */
  async closeAll(): Promise<void> {
    this.#isClosing = true
    for (const [port, server] of this.#servers) this.#close(port, server)
    if (this.#servers.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onClosed = resolve
      })
    }
  }

  #close(port: number, server: PortServer): void {
    // One that is being opened is closed as soon as that is over.
    if (!server.isOpen) return
    void server.close().then(() => {
      if (!this.#servers.has(port)) return
      server.failures.flush()
      this.#host.post({ kind: 'portClosed', port })
      this.#forget(port)
    })
  }

  #forget(port: number): void {
    this.#servers.delete(port)
    if (this.#servers.size === 0) this.#onClosed?.()
  }
}

type Main = (stream: ServedStream, port: ServedPort<unknown, Address>) => unknown

class PortServer {
  readonly failures: FailureLots
  readonly #host: PortHost
  readonly #port: number
  readonly #program: PortProgram
  readonly #controller = new AbortController()
  readonly #connections = new Map<Task<void>, ServedStream | ServedSocket>()
  #main: Main | null = null
  #listener: PortListener | null = null
  #closed: Promise<void> | null = null
  #onIdle: (() => void) | null = null

  constructor(host: PortHost, port: number, program: PortProgram) {
    this.#host = host
    this.#port = port
    this.#program = program
    this.failures = new FailureLots((errors, skippedCount) => {
      host.post({ kind: 'connectionsFailed', port, errors, skippedCount })
    })
  }

  get isOpen(): boolean {
    return this.#listener !== null
  }

  /** Whether it is open then; if not, its runtime has been told why. */
  async open(): Promise<boolean> {
    const { transport, share, listen, isShared } = this.#program
    try {
      // First, as a port whose connections nobody could serve is not to be opened.
      this.#main = await this.#load()
      const place = placeOf(transport)
      const listener = share === null ? await place.bind(listen) : place.adopt(share)
      this.#listener = listener
      const opened = { address: listener.address, share: isShared ? listener.share() : null }
      this.#host.post({ kind: 'portOpened', port: this.#port, opened })
      return true
    } catch (error) {
      void this.#listener?.close()
      this.#listener = null
      this.#host.post({ kind: 'portRefused', port: this.#port, error: recordError(error) })
      return false
    }
  }

  serve(): void {
    if (this.#closed === null) void this.#accept()
  }

  /** Stops listening; resolves once no connection is left. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** Ends the connections that have not ended, whatever their functions wait for. */
  cut(): void {
    for (const [task, served] of this.#connections) {
      void task.cancel()
      const ended = served instanceof ServedSocket ? served.close() : breakOff(served)
      void ended.then(() => this.#end(task))
    }
  }

  async #load(): Promise<Main> {
    const { module, name } = this.#program
    const exports = (await this.#host.load(module)) as Record<string, unknown>
    const found = findExport(exports, name)
    if (typeof found === 'function') return found as Main
    const what = found === undefined ? 'missing' : `of type ${typeof found}`
    throw new TypeError(
      `Cannot serve a port as export '${name}' of ${module} must be a function: it is ${what}`,
    )
  }

  async #accept(): Promise<void> {
    const { executor } = this.#host
    const listener = this.#listener!
    const { argument } = this.#program
    const { signal } = this.#controller
    const { address } = listener
    const port = new ServedPort<unknown, Address>({
      driver: executor.name,
      address,
      argument,
      signal,
    })
    const name = namePort(address)
    try {
      const { servesSocket } = placeOf(this.#program.transport)
      for await (const stream of listener) {
        const socket = servesSocket ? this.#serving(stream as UdpSocket, port) : null
        const task = executor.spawnInto(
          executor.defaultQueue,
          () => socket?.serve() ?? this.#serveOne(stream, port),
          name,
        )
        this.#connections.set(task, socket ?? stream)
        const end = (): void => this.#end(task)
        task.then(end, end)
      }
    } catch (error) {
      // A driver that cannot accept any more has failed as a whole.
      if (this.#closed === null && !executor.isClosing) throw error
    }
  }

  /** Never rejects but for a cancel. */
  async #serveOne(stream: ServedStream, port: ServedPort<unknown, Address>): Promise<void> {
    let isWhole = false
    try {
      await this.#main!(stream, port)
      isWhole = true
    } catch (error) {
      isWhole = this.#isReason(error)
      if (!isWhole) this.#tell(error)
    } finally {
      await (isWhole ? stream.close() : breakOff(stream))
    }
  }

  #serving(socket: UdpSocket, port: ServedPort<unknown, Address>): ServedSocket {
    const { executor, setTimer } = this.#host
    const { address, signal } = port
    const isOver = (): boolean => this.#closed !== null || executor.isClosing
    return new ServedSocket(socket, {
      signal,
      get isOver() {
        return isOver()
      },
      call: (current) => this.#main!(current, port),
      reopen: () => reopenSocket(this.#program.listen, address),
      tellEnd: (error) => {
        if (error !== null) this.#tell(error)
        else if (!isOver()) this.#tell(endedEarly(address))
      },
      nowMs: () => executor.nowNs() / 1e6,
      setTimer,
    })
  }

  #tell(error: unknown): void {
    const { transport, tellsPeerErrors } = this.#program
    const { servesSocket } = placeOf(transport)
    // A socket of datagrams has no peer that could be gone.
    const isPeers = !servesSocket && !tellsPeerErrors && isPeerGone(error)
    const isEnd = this.#closed !== null && isEndOf(error, servesSocket)
    if (isPeers || isEnd || this.#host.executor.isClosing) return
    this.failures.add(error)
  }

  /** Whether a function let the reason of its signal through, as was asked of it. */
  #isReason(error: unknown): boolean {
    const { reason } = this.#controller.signal
    return reason !== undefined && (error === reason || (error as Error)?.cause === reason)
  }

  #end(task: Task<void>): void {
    this.#connections.delete(task)
    if (this.#connections.size === 0) this.#onIdle?.()
  }

  async #close(): Promise<void> {
    const listener = this.#listener
    assert(listener !== null, 'what is closed was open')
    const closing = listener.close()
    this.#controller.abort(
      new RuntimeError(
        'ERR_HANDLE_CLOSED',
        `Cannot go on as ${namePort(listener.address)} must be open: it is being closed`,
      ),
    )
    for (const served of this.#connections.values()) {
      if (served instanceof ServedSocket) served.endReceiving()
    }
    await closing
    const { servesSocket } = placeOf(this.#program.transport)
    if (!servesSocket) this.#host.post({ kind: 'portShut', port: this.#port })
    if (this.#connections.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve
      })
    }
    if (servesSocket) this.#host.post({ kind: 'portShut', port: this.#port })
  }
}

/** Whether a function has failed as its port is closed: it was cancelled, or its loop over a socket was told. */
function isEndOf(error: unknown, servesSocket: boolean): boolean {
  if (!(error instanceof RuntimeError)) return false
  return error.code === 'ERR_TASK_CANCELLED' || (servesSocket && error.code === 'ERR_HANDLE_CLOSED')
}

/** Its clients would not be told, and see no difference to a port that loses all. */
function endedEarly(address: Address): RuntimeError {
  return new RuntimeError(
    'ERR_HANDLE_CLOSED',
    `Cannot receive on UDP ${namePort(address)} meanwhile as its function must go on until its signal is aborted: it has returned, and is called again`,
  )
}
