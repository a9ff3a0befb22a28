import { assert, recordError } from '../base/index.ts'
import type { Executor, Task } from '../executor/index.ts'
import { CallInContext, runForNobody, runInCall } from './call-context.ts'
import {
  decodeHeader,
  encodeAnswer,
  FRAME_ERROR,
  FRAME_REFUSAL,
  FRAME_RESULT,
  packValue,
  type Refusal,
  unpackValue,
} from './call-frames.ts'
import type { RunningService } from './running-service.ts'
import type { Link } from './shard-link.ts'

/** What the calls of a shard are run with. */
export interface CallsHost {
  readonly home: Executor
  /** The name of this shard. */
  readonly name: string
  /** A service that runs here, by its number. */
  find(service: number): RunningService | undefined
}

/** The calls that one shard has made of this one, while they run: each is a task. */
export class IncomingCalls {
  readonly #host: CallsHost
  /** The shard that calls. */
  readonly #from: number
  readonly #tasks = new Map<number, Task<unknown>>()
  #link: Link | null = null

  constructor(host: CallsHost, from: number) {
    this.#host = host
    this.#from = from
  }

  setLink(link: Link): void {
    assert(this.#tasks.size === 0, 'a new link begins without calls')
    this.#link = link
  }

  begin(frame: Uint8Array): void {
    const { call, service: number, method, depth } = decodeHeader(frame)
    assert(!this.#tasks.has(call), 'a call has a number of its own')
    const { home, name } = this.#host
    const service = this.#host.find(number)
    if (service === undefined || service.isStopping) {
      const what = service === undefined ? 'it does not' : 'it was stopped'
      const message = `the service must run on '${name}': ${what}`
      this.#refuse(call, { code: 'ERR_SERVICE_NOT_RUNNING', message, hasNotRun: true })
      return
    }
    if (home.isClosing) {
      const message = `'${name}' must run: it was stopped`
      this.#refuse(call, { code: 'ERR_SHARD_FAILED', message, hasNotRun: true })
      return
    }
    const run = (task: Task<unknown>): unknown => {
      const args = unpackValue(frame) as unknown[] | undefined
      const context = new CallInContext(task, this.#from, depth)
      return runInCall(context, () => service.call(method, args ?? []))
    }
    service.enter()
    const task = runForNobody(() =>
      home.spawnInto(home.defaultQueue, run, service.taskNames[method]),
    )
    this.#tasks.set(call, task)
    task.then(
      (value) => this.#end(call, task, service, () => packResult(value)),
      (error) => this.#end(call, task, service, () => this.#packError(task, error)),
    )
  }

  cancel(frame: Uint8Array): void {
    // It may have been answered meanwhile.
    void this.#tasks.get(decodeHeader(frame).call)?.cancel()
  }

  /** Nobody waits for the answers any more. */
  cancelAll(): void {
    this.#link = null
    const tasks = [...this.#tasks.values()]
    this.#tasks.clear()
    for (const task of tasks) void task.cancel()
  }

  #end(
    call: number,
    task: Task<unknown>,
    service: RunningService,
    pack: () => [kind: number, packed: Uint8Array],
  ): void {
    // The link may be another by now, with a call of the same number.
    if (this.#tasks.get(call) === task) {
      this.#tasks.delete(call)
      this.#link?.send(encodeAnswer(...packSafely(pack, call)))
    }
    service.exit()
  }

  #packError(task: Task<unknown>, error: unknown): [kind: number, packed: Uint8Array] {
    const { home, name } = this.#host
    if (!home.isClosing || !task.isCancelled) return [FRAME_ERROR, packValue(recordError(error))]
    // The caller would take the end of this shard for that of its own.
    const refusal: Refusal = {
      code: 'ERR_SHARD_FAILED',
      message: `'${name}' must go on until it has answered: it was stopped, and the method may have run`,
      hasNotRun: false,
    }
    return [FRAME_REFUSAL, packValue(refusal)]
  }

  #refuse(call: number, refusal: Refusal): void {
    this.#link?.send(encodeAnswer(FRAME_REFUSAL, call, packValue(refusal)))
  }
}

function packResult(value: unknown): [kind: number, packed: Uint8Array] {
  return [FRAME_RESULT, packValue(value)]
}

function packSafely(
  pack: () => [kind: number, packed: Uint8Array],
  call: number,
): [kind: number, call: number, packed: Uint8Array] {
  try {
    const [kind, packed] = pack()
    return [kind, call, packed]
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const refused = new TypeError(`Cannot answer as a result must be cloneable: ${message}`)
    return [FRAME_ERROR, call, packValue(recordError(refused))]
  }
}
