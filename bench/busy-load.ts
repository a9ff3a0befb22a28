/** What every side of `busy` serves on Node's own sockets, and what its round trips are measured by. */

import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'

const HOST = '127.0.0.1'
/** How long each request keeps Node's loop beside busy queues, so that some connections fill it. */
const REQUEST_MS = 0.3

/** How many tasks of each busy queue wait to run again. */
export const TASKS_PER_QUEUE = 25
/** How long work without percore goes on before it lets others run. */
export const SLICE_MS = 1
/** What the answer to each request ends with, and nothing in it before. */
export const RESPONSE_END = 'ok\n'

/** When round trips count: from the end of the warm-up to the end of the load. */
export class Period {
  readonly #warmupMs: number
  readonly #lengthMs: number
  #fromMs = Number.POSITIVE_INFINITY

  constructor(warmupSeconds: number, seconds: number) {
    this.#warmupMs = warmupSeconds * 1_000
    this.#lengthMs = seconds * 1_000
  }

  get endMs(): number {
    return this.#fromMs + this.#lengthMs
  }

  /** Begins the warm-up, the first time. */
  begin(): void {
    if (this.#fromMs === Number.POSITIVE_INFINITY) this.#fromMs = performance.now() + this.#warmupMs
  }

  has(timeMs: number): boolean {
    return timeMs >= this.#fromMs && timeMs < this.endMs
  }
}

/** How long answers took, in milliseconds. */
export interface Waits {
  readonly p50Ms: number
  readonly p99Ms: number
}

/** The round trips of one client, which sends a request once it has the answer to the last. */
export class RoundTrips {
  readonly #period: Period
  /** Those that count; clients may share it. */
  readonly #tripsMs: number[]
  #sentMs = Number.NaN

  constructor(period: Period, tripsMs: number[] = []) {
    this.#period = period
    this.#tripsMs = tripsMs
  }

  send(): void {
    this.#sentMs = performance.now()
  }

  receive(): void {
    const nowMs = performance.now()
    // One that goes on beyond the end counts as well: it must not look fast.
    const isLate = nowMs >= this.#period.endMs && this.#sentMs < this.#period.endMs
    if (isLate || this.#period.has(nowMs)) this.#tripsMs.push(nowMs - this.#sentMs)
  }

  /** What they came to. A request without an answer at the end counts: it must not look fast. */
  finish(): Waits {
    const waitedMs = this.#period.endMs - this.#sentMs
    if (waitedMs > 0) this.#tripsMs.push(waitedMs)
    return summarizeWaits(this.#tripsMs)
  }
}

/** What trips came to; `NaN` if there are none. */
export function summarizeWaits(tripsMs: readonly number[]): Waits {
  const sorted = Float64Array.from(tripsMs).sort()
  const at = (part: number): number => sorted[Math.floor(sorted.length * part)] ?? Number.NaN
  return { p50Ms: at(0.5), p99Ms: at(0.99) }
}

/** A count at some time. */
interface Mark {
  readonly timeMs: number
  readonly count: number
}

/** How fast work goes on while requests come: from the last of the warm-up to the last that counts. */
export class Progress {
  /** What has been done. */
  count = 0
  readonly #period: Period
  #first: Mark | null = null
  #last: Mark | null = null

  constructor(period: Period) {
    this.#period = period
  }

  /** Notes how far it is, at a request. */
  note(): void {
    const now = this.#now()
    if (this.#period.has(now.timeMs)) this.#last = now
    if (this.#last === null || this.#first === null) this.#first = now
  }

  /** What was done in a second. */
  finish(): number {
    const last = this.#last ?? this.#now()
    const first = this.#first ?? last
    // A short time on a machine that is held up.
    if (last.timeMs === first.timeMs) return 0
    return ((last.count - first.count) * 1_000) / (last.timeMs - first.timeMs)
  }

  #now(): Mark {
    return { timeMs: performance.now(), count: this.count }
  }
}

/** What busy queues run beside: `node:http`, `node:net` and an echo of the side's own. */
export class BusyQueues {
  readonly echo: RoundTrips
  /** How often tasks have yielded. */
  readonly yields: Progress
  readonly #period: Period
  readonly #node: RoundTrips

  constructor(warmupSeconds: number, seconds: number) {
    this.#period = new Period(warmupSeconds, seconds)
    this.echo = new RoundTrips(this.#period)
    this.yields = new Progress(this.#period)
    this.#node = new RoundTrips(this.#period)
  }

  /** Starts both and resolves with the port of `node:http`, whose requests take a while each. */
  async serve(): Promise<number> {
    await echoOnNode(this.#node)
    return await serveHttp(this.#period, () => {
      this.yields.note()
      workFor(REQUEST_MS)
    })
  }

  finish(): Readonly<Record<'echoP99Ms' | 'nodeP50Ms' | 'nodeP99Ms' | 'yieldsPerSecond', number>> {
    const { p99Ms: echoP99Ms } = this.echo.finish()
    const { p50Ms: nodeP50Ms, p99Ms: nodeP99Ms } = this.#node.finish()
    return { echoP99Ms, nodeP50Ms, nodeP99Ms, yieldsPerSecond: this.yields.finish() }
  }
}

/** Serves `node:http` and resolves with its port; the first request begins the period, each does `work`. */
function serveHttp(period: Period, work: () => void): Promise<number> {
  const server = createHttpServer((_request, response) => {
    period.begin()
    work()
    response.end(RESPONSE_END)
  })
  return listen(server)
}

/** Sends a byte to and fro on `node:net` for ever. */
export async function echoOnNode(trips: RoundTrips): Promise<void> {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('data', (bytes) => socket.write(bytes))
  })
  const client = connect({ port: await listen(server), host: HOST, noDelay: true })
  const send = (): void => {
    trips.send()
    client.write('x')
  }
  client.on('connect', send)
  client.on('data', () => {
    trips.receive()
    send()
  })
}

/** What a busy task does, beside `node:http`: units of a few microseconds, counted. */
export class BusyTask {
  readonly #period: Period
  readonly #units: Progress
  #sum = 0

  constructor(warmupSeconds: number, seconds: number) {
    this.#period = new Period(warmupSeconds, seconds)
    this.#units = new Progress(this.#period)
  }

  /** Starts `node:http` and resolves with its port. */
  serve(): Promise<number> {
    return serveHttp(this.#period, () => this.#units.note())
  }

  doUnit(): void {
    // A sum of its own, since a field that holds a fraction is allocated anew at each store by some compilers.
    let sum = 0
    for (let index = 0; index < 2_000; index++) sum += Math.sqrt(index)
    this.#sum = (this.#sum + sum) | 0
    this.#units.count++
  }

  finish(): { readonly unitsPerSecond: number } {
    return { unitsPerSecond: this.#units.finish() }
  }
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, HOST, () => resolve((server.address() as AddressInfo).port))
  })
}

function workFor(lengthMs: number): void {
  const untilMs = performance.now() + lengthMs
  while (performance.now() < untilMs);
}
