import { assert, type ErrorRecord, reviveError } from '../base/index.ts'
import {
  type Executor,
  HoldingWaiter,
  refuse,
  WaitList,
  type WaitOptions,
} from '../executor/index.ts'
import { CallError, type CallErrorCode } from './call-error.ts'
import {
  decodeHeader,
  encodeCall,
  encodeCancel,
  FRAME_ERROR,
  FRAME_REFUSAL,
  FRAME_RESULT,
  packValue,
  type Refusal,
  unpackValue,
} from './call-frames.ts'
import type { Link } from './shard-link.ts'

/** What is called. */
export interface CalledMethod {
  /** The service's number. */
  readonly service: number
  readonly serviceName: string
  readonly method: number
  readonly methodName: string
  /** How many calls of the service, of one depth, one shard may have under way at another. */
  readonly outstandingMax: number
  /** How many calls have led to this one. */
  readonly depth: number
  readonly caller: Caller
}

/** Who counts its calls. */
export interface Caller {
  callBegins(): void
  /** Its promise is settled. */
  callEnds(): void
}

/** Whom calls ask for a way to their shard. */
export interface CallsOwner {
  /** Asks for a link, which is set later, or fails the calls. */
  askLink(): void
}

/**
 * The calls of this shard to one other, or to itself, until they are answered. O(1) each.
 *
 * So many of a service are under way at once; the others wait in line, the first come first. Calls that calls of the same service have
 * led to have a line of their own for each depth, so that none waits for one that waits for it.
 */
export class OutgoingCalls {
  readonly #home: Executor
  readonly #owner: CallsOwner
  readonly #shardName: () => string
  #link: Link | null = null
  #isAsked = false
  /** Whether the shard has said that it begins no more. */
  #isEnding = false
  /** By the service, then by depth. */
  readonly #lines = new Map<number, (CallLine | undefined)[]>()
  readonly #underWay = new Map<number, CallWaiter>()
  /** Those of them that somebody waits for; for the close of the executor. */
  readonly #sent = new WaitList<CallWaiter>({ waiterLeft: nothing })
  #nextId = 1

  constructor(home: Executor, owner: CallsOwner, shardName: () => string) {
    this.#home = home
    this.#owner = owner
    this.#shardName = shardName
  }

  /**
   * Rejects with a `TypeError` for arguments that cannot be cloned; a {@link CallError}; what the method throws; and as
   * {@link WaitOptions} say.
   */
  call(
    called: CalledMethod,
    args: readonly unknown[],
    options: WaitOptions | undefined,
  ): Promise<unknown> {
    const action = `call '${called.methodName}' of service '${called.serviceName}'`
    try {
      const packed = packArguments(action, args)
      const line = this.#lineOf(called)
      const waiter = new CallWaiter(this.#home, { calls: this, line, called, packed })
      waiter.bindListed(this.#home, options, action)
      called.caller.callBegins()
      line.waiting.push(waiter)
      if (this.#isEnding) this.#refuseWaiting()
      else if (this.#link === null) this.#ask()
      else this.#pump(line)
      return waiter.promise
    } catch (error) {
      return refuse(error)
    }
  }

  setLink(link: Link): void {
    assert(this.#link === null, 'a shard is reached one way at a time')
    this.#link = link
    this.#isAsked = false
    assert(!this.#isEnding, 'a shard that ends is given up before the next one')
    for (const lines of this.#lines.values()) {
      for (const line of lines) if (line !== undefined) this.#pump(line)
    }
  }

  /** An answer has come. */
  answer(frame: Uint8Array): void {
    const { kind, call } = decodeHeader(frame)
    const waiter = this.#underWay.get(call)
    assert(waiter !== undefined, 'a call is answered once')
    this.#underWay.delete(call)
    const { line } = waiter.parts
    line.freeCount++
    if (waiter.list !== null) {
      this.#sent.remove(waiter)
      settle(waiter, kind, frame)
    }
    if (kind === FRAME_REFUSAL && isEnd(frame)) {
      this.#isEnding = true
      this.#refuseWaiting()
    } else this.#pump(line)
  }

  /** The thread has ended, or there is none. */
  failAll(): void {
    this.#link = null
    this.#isAsked = false
    this.#isEnding = false
    this.#underWay.clear()
    const name = this.#shardName()
    for (let waiter = this.#sent.shift(); waiter !== null; waiter = this.#sent.shift()) {
      const why = `'${name}' must go on until it has answered: it has ended, and the method may have run`
      waiter.refuse('ERR_SHARD_FAILED', why, false)
    }
    this.#refuseWaiting()
    this.#lines.clear()
  }

  /** What has not been sent can be made again. */
  #refuseWaiting(): void {
    const why = `'${this.#shardName()}' must run: it has ended, and the method has not run`
    for (const lines of this.#lines.values()) {
      for (const line of lines) line?.refuseAll('ERR_SHARD_FAILED', why)
    }
  }

  /** The service has ended; what waits in line is not sent any more. */
  forgetService(service: number): void {
    const lines = this.#lines.get(service)
    if (lines === undefined) return
    this.#lines.delete(service)
    for (const line of lines) {
      line?.refuseAll('ERR_SERVICE_NOT_RUNNING', 'the service must run: it was stopped')
    }
  }

  /** @internal Whoever made a call that was sent does not wait any more. It is under way until it is answered. */
  withdraw(id: number): void {
    if (this.#underWay.has(id)) this.#link?.send(encodeCancel(id))
  }

  #ask(): void {
    if (this.#isAsked) return
    this.#isAsked = true
    this.#owner.askLink()
  }

  #lineOf({ service, depth, outstandingMax }: CalledMethod): CallLine {
    let lines = this.#lines.get(service)
    if (lines === undefined) {
      lines = []
      this.#lines.set(service, lines)
    }
    let line = lines[depth]
    if (line === undefined) {
      line = new CallLine(outstandingMax)
      lines[depth] = line
    }
    return line
  }

  #pump(line: CallLine): void {
    const link = this.#link
    if (link === null || this.#isEnding) return
    while (line.freeCount > 0) {
      const waiter = line.waiting.shift()
      if (waiter === null) return
      line.freeCount--
      const { called, packed } = waiter.parts
      const id = this.#takeId()
      waiter.id = id
      this.#underWay.set(id, waiter)
      this.#sent.push(waiter)
      const { service, method, depth } = called
      link.send(encodeCall({ call: id, service, method, depth: depth + 1 }, packed))
    }
  }

  #takeId(): number {
    let id = this.#nextId
    while (this.#underWay.has(id) || id === 0) id = (id + 1) >>> 0
    this.#nextId = (id + 1) >>> 0
    return id
  }
}

/** The calls of a service to a shard that are of one depth. */
class CallLine {
  /** How many more may be under way. */
  freeCount: number
  readonly waiting: WaitList<CallWaiter> = new WaitList<CallWaiter>({ waiterLeft: nothing })

  constructor(outstandingMax: number) {
    assert(outstandingMax > 0, 'one call at least can be under way')
    this.freeCount = outstandingMax
  }

  refuseAll(code: CallErrorCode, why: string): void {
    const { waiting } = this
    for (let waiter = waiting.shift(); waiter !== null; waiter = waiting.shift()) {
      waiter.refuse(code, why, true)
    }
  }
}

interface CallParts {
  readonly calls: OutgoingCalls
  readonly line: CallLine
  readonly called: CalledMethod
  readonly packed: Uint8Array
}

/** Whoever waits for the answer to a call, in line and then under way. */
class CallWaiter extends HoldingWaiter<unknown> {
  readonly parts: CallParts
  /** 0 until it is under way. */
  id = 0

  constructor(home: Executor, parts: CallParts) {
    super(home)
    this.parts = parts
  }

  override cancel(reason: unknown): void {
    if (this.list === null) return
    super.cancel(reason)
    if (this.id !== 0) this.parts.calls.withdraw(this.id)
  }

  override run(): void {
    this.parts.called.caller.callEnds()
    super.run()
  }

  refuse(code: CallErrorCode, why: string, hasNotRun: boolean): void {
    const { methodName, serviceName } = this.parts.called
    const action = `call '${methodName}' of service '${serviceName}'`
    this.fail(new CallError(code, `Cannot ${action} as ${why}`, hasNotRun))
  }
}

/** Whether the shard refuses since it ends. */
function isEnd(frame: Uint8Array): boolean {
  return (unpackValue(frame) as Refusal).code === 'ERR_SHARD_FAILED'
}

function settle(waiter: CallWaiter, kind: number, frame: Uint8Array): void {
  let value: unknown
  try {
    value = unpackValue(frame)
  } catch (error) {
    waiter.fail(error)
    return
  }
  switch (kind) {
    case FRAME_RESULT:
      waiter.fulfil(value)
      return
    case FRAME_ERROR:
      waiter.fail(reviveError(value as ErrorRecord))
      return
    default: {
      assert(kind === FRAME_REFUSAL, 'an answer is a result, an error or a refusal')
      const { code, message, hasNotRun } = value as Refusal
      waiter.refuse(code, message, hasNotRun)
    }
  }
}

/** None are the same as an empty list: the method is called without any. */
function packArguments(action: string, args: readonly unknown[]): Uint8Array {
  try {
    return packValue(args.length === 0 ? undefined : args)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new TypeError(`Cannot ${action} as its arguments must be cloneable: ${message}`, {
      cause: error,
    })
  }
}

function nothing(): void {}
