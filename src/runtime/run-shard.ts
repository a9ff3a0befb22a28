import { assert, findExport, MIB, numbersOfMask, recordError } from '../base/index.ts'
import type { Executor } from '../executor/index.ts'
import type { Kernel } from '../kernel/index.ts'
import type { ToPort } from './port-messages.ts'
import type { PortServers } from './port-server.ts'
import { createServices, notDefined, type ShardServices } from './service-loading.ts'
import type { ToServices } from './service-messages.ts'
import { noteShard, Shard, type ShardMain } from './shard.ts'
import { ShardCalls } from './shard-calls.ts'
import type { ShardHost, ShardProgram, ShardReport, ToShard } from './shard-thread.ts'

const MASK_BYTES = 8192
/** More than malloc ever takes from what another thread may have touched; but one page of it is not. */
const HEAP_PROBE_BYTES = 40 * MIB
/**
 * @internal Runs a shard on the calling thread, from its executor to its end: the same on a real thread and a simulated one.
 */
export function runShard(host: ShardHost, program: ShardProgram): void {
  new ShardRun(host, program).start()
}

class ShardRun {
  readonly #host: ShardHost
  readonly #program: ShardProgram
  readonly #shard: Shard
  #executor: Executor | null = null
  #calls: ShardCalls | null = null
  #ports: Promise<PortServers> | null = null
  #services: ShardServices | null = null
  #main: ShardMain | null = null
  #state: 'starting' | 'ready' | 'running' | 'done' | 'ending' = 'starting'
  #hasBegun = false
  #cancelClose: (() => void) | null = null

  constructor(host: ShardHost, program: ShardProgram) {
    this.#host = host
    this.#program = program
    this.#shard = new Shard(program)
  }

  start(): void {
    const { name, executor } = this.#program
    this.#host.listen((message) => this.#onMessage(message))
    try {
      // First of all, since the module may ask for the executor of its thread while it is loaded.
      this.#executor = this.#host.attach({ ...executor, name })
    } catch (error) {
      this.#refuse(error)
      return
    }
    noteShard(this.#executor, this.#shard)
    this.#calls = new ShardCalls(this.#host, this.#executor)
    this.#shard.useServices = () => this.#useServices()
    this.#host.onIdle(() => this.#leaveServices())
    const { defaultQueue } = this.#executor
    this.#executor
      .spawnInto(defaultQueue, () => this.#load(), `${name}: load`)
      .then(
        () => this.#beReady(),
        (error) => this.#refuse(error),
      )
  }

  /** The services of this shard; null while no module that defines one is loaded. */
  #useServices(): ShardServices | null {
    this.#services ??= createServices({
      home: this.#executor!,
      shard: this.#shard,
      post: (message) => this.#host.post({ kind: 'services', message }),
    })
    return this.#services
  }

  /** The thread would end now: where services are in use that waits for their end. */
  #leaveServices(): boolean {
    if (this.#state !== 'done' || this.#services?.isInUse !== true) return false
    void this.#services.end()
    return true
  }

  #hearOfServices(message: ToServices): void {
    const services = this.#useServices()
    if (services !== null) services.onMessage(message)
    else if (message.kind === 'start') {
      const error = recordError(notDefined(message.name, this.#shard.name))
      const answer = { kind: 'notStarted', service: message.service, error } as const
      this.#host.post({ kind: 'services', message: answer })
    }
  }

  async #load(): Promise<void> {
    const { module, entry = 'default' } = this.#program
    const exports = (await this.#host.load(module)) as Record<string, unknown>
    const main = findExport(exports, entry)
    if (typeof main !== 'function') {
      throw new TypeError(
        `Cannot run a shard as the ${entry === 'default' ? 'default export' : `export '${entry}'`} of ${module} must be a function: it is ${describeExport(main)}`,
      )
    }
    this.#main = main as ShardMain
  }

  #beReady(): void {
    assert(this.#state === 'starting', 'a shard starts once')
    this.#state = 'ready'
    const { kernel } = this.#executor!
    const report = reportPlace(kernel, this.#executor!, this.#program.asksForNodes)
    this.#host.post({ kind: 'ready', report })
  }

  #refuse(error: unknown): void {
    this.#state = 'ending'
    this.#host.post({ kind: 'refused', error: recordError(error) })
    this.#host.exit(1)
  }

  #onMessage(message: ToShard): void {
    switch (message.kind) {
      case 'go':
        this.#shard.setPeers(message.peers)
        this.#go()
        return
      case 'peer':
        this.#shard.setPeers(this.#shard.peers.with(message.peer.id, message.peer))
        return
      case 'stop':
        this.#stop(message.closeAfterMs)
        return
      case 'call':
        this.#calls!.begin(message)
        return
      case 'cancelCall':
        this.#calls!.cancel(message.id)
        return
      case 'services':
        this.#hearOfServices(message.message)
        return
      default:
        this.#hearOfPort(message)
    }
  }

  #go(): void {
    assert(this.#state === 'ready', 'a program begins when all are ready')
    this.#state = 'running'
    const executor = this.#executor!
    const main = this.#main!
    const task = executor.spawnInto(
      executor.defaultQueue,
      () => this.#begin(main),
      this.#program.name,
    )
    task.then(
      (value) => this.#succeed(value),
      (error) => this.#fail(error, task.isCancelled),
    )
  }

  #begin(main: ShardMain): unknown {
    this.#hasBegun = true
    const result = main(this.#shard)
    // Asked to end before it began, it has had its chance to ask for its signal.
    if (this.#shard.stopReason !== null && !this.#mayEndByItself) void this.#end(0)
    return result
  }

  /** Whether something here can react to a stop. */
  get #mayEndByItself(): boolean {
    return !this.#hasBegun || this.#shard.isSignalTaken || this.#calls!.count > 0
  }

  #succeed(value: unknown): void {
    try {
      this.#host.post({ kind: 'returned', value })
    } catch (error) {
      const what = `Cannot return from shard '${this.#program.name}' as its result must be cloneable: ${messageOf(error)}`
      this.#fail(new TypeError(what, { cause: error }), false)
      return
    }
    if (this.#state !== 'running') return
    this.#state = 'done'
    if (this.#shard.stopReason === null) {
      // From now on the thread lives as long as what the program has left in its event loop.
      this.#host.setReferenced(false)
    } else {
      // As long as what others have it do, which may wait for what keeps no thread alive.
      void this.#whenServed().then(() => this.#end(0))
    }
  }

  #fail(error: unknown, isClosed: boolean): void {
    const reason = this.#shard.stopReason
    const isStop = reason !== null && (isClosed || isAbort(error, reason))
    const atNs = this.#executor!.kernel.nowNs()
    this.#host.post({ kind: 'threw', error: recordError(error), isStop, atNs })
    if (this.#state === 'running') void this.#end(isStop ? 0 : 1)
  }

  #stop(closeAfterMs: number): void {
    if (this.#shard.stopReason !== null || this.#state === 'ending') return
    this.#shard.stop()
    const end = (): void => void this.#end(0)
    // A program that never asked for its signal would wait for ever.
    if (this.#mayEndByItself) this.#cancelClose = this.#host.setTimer(closeAfterMs, end)
    else end()
  }

  #hearOfPort(message: ToPort): void {
    this.#ports ??= this.#loadPorts()
    // In the order in which they came, as the first one waits for that.
    void this.#ports.then((ports) => ports.hear(message))
  }

  /** Loaded as programs are, since most shards serve no port of a runtime, and do without all of `percore/net`. */
  async #loadPorts(): Promise<PortServers> {
    // By way of its folder, as this file may be part of one that lies in another.
    const url = new URL('../runtime/port-server.js', import.meta.url)
    const { PortServers } = (await this.#host.load(url.href)) as typeof import('./port-server.ts')
    const host = this.#host
    return new PortServers({
      executor: this.#executor!,
      load: (module) => host.load(module),
      post: (message) => host.post(message),
      setTimer: (delayMs, callback) => host.setTimer(delayMs, callback),
    })
  }

  /** Has no more connections come, and resolves once neither one nor a call goes on. */
  async #whenServed(): Promise<void> {
    const ports = this.#ports?.then((loaded) => loaded.closeAll())
    await Promise.all([this.#calls!.whenIdle(), ports])
    // Others may not have come to their end, and call what runs here.
    await this.#services?.end()
  }

  async #end(exitCode: number): Promise<void> {
    if (this.#state === 'ending') return
    const wasRunning = this.#state === 'running'
    this.#state = 'ending'
    this.#cancelClose?.()
    // What else keeps the thread alive may end before: the loop must not, until all have been told.
    this.#host.setReferenced(true)
    await this.#executor!.close()
    // The failure of the program's own task, if it was that which the close has ended, is posted by then.
    if (wasRunning) await null
    this.#host.exit(exitCode)
  }
}

/** Whether a program has ended since it was asked to: it lets the reason of its signal through. */
function isAbort(error: unknown, reason: unknown): boolean {
  if (error === reason) return true
  if (!(error instanceof Error)) return false
  return error.name === 'AbortError' || error.cause === reason
}

function reportPlace(
  kernel: Kernel,
  executor: Executor,
  asksForNodes: ShardProgram['asksForNodes'],
): ShardReport {
  const mask = new Uint8Array(MASK_BYTES)
  const lengthBytes = kernel.getAffinity(0, mask)
  return {
    executorId: executor.doorbell.address,
    cpus: lengthBytes > 0 ? numbersOfMask(mask.subarray(0, lengthBytes)) : null,
    memoryNodes:
      asksForNodes === 'no' ? null : findNodes(kernel, asksForNodes === 'all' ? executor : null),
  }
}

/** The nodes of one page of memory that the heap has got just now, and of one of the I/O memory of `executor`. */
function findNodes(kernel: Kernel, executor: Executor | null): readonly number[] | null {
  const lease = executor?.memory.allocate(4096) ?? null
  const views = [new Uint8Array(HEAP_PROBE_BYTES), ...(lease === null ? [] : [lease.bytes])]
  for (const view of views) view.fill(1, 0, 1)
  const addresses = Float64Array.from(views, (view) => kernel.addressOf(view))
  const nodes = new Int32Array(addresses.length)
  const result = kernel.nodesOfPages(addresses, nodes)
  lease?.release()
  if (result < 0 || nodes.some((node) => node < 0)) return null
  return [...new Set(nodes)].sort((a, b) => a - b)
}

function describeExport(value: unknown): string {
  if (value === undefined) return 'missing'
  return value === null ? 'null' : `of type ${typeof value}`
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
