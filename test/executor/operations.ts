/** Operations of every kind that waits, for tests that need one under way. */

import { AwaitedOperation, type Executor } from '../../src/executor/index.ts'
import { executor, type WaitOptions } from '../../src/index.ts'
import { POLLIN, SLOT_FOREIGN } from '../../src/kernel/index.ts'
import type { Lease } from '../../src/memory/index.ts'
import {
  encodeMessageRing,
  encodeNop,
  encodePoll,
  encodeRead,
  encodeTimeout,
  Operation,
  type Ring,
  type SqeWords,
  writeTimespec,
} from '../../src/ring/index.ts'
import { reactorOf } from '../reactor-of.ts'

type Encode = (sqes: SqeWords, base: number) => void

/** One request, by whatever encoder; it resolves with the completion's result. */
class TestOperation extends AwaitedOperation<number> {
  readonly #buffer: Lease | null

  constructor(options: WaitOptions | undefined, buffer: Lease | null, encode: Encode) {
    super(executor())
    this.#buffer = buffer
    const ring = ringFor(this.executor)
    this.bind(options, 'wait for a test operation')
    encode(ring.sqes, ring.begin())
    ring.commit(this)
    buffer?.pin()
  }

  protected override interpret(result: number): number {
    return result
  }

  protected override describe(): { syscall: string } {
    return { syscall: 'test' }
  }

  protected override finish(): void {
    this.#buffer?.unpin()
    this.#buffer?.release()
  }
}

function ringFor(current: Executor): Ring {
  return current.io.ringFor(current.currentQueue())
}

/** Completes with the next submission. */
export function nop(options?: WaitOptions): Promise<number> {
  return new TestOperation(options, null, encodeNop).promise
}

/** Completes once `fd` is readable. */
export function poll(fd: number, options?: WaitOptions): Promise<number> {
  const args = { target: { fd, registered: false }, events: POLLIN, multishot: false }
  return new TestOperation(options, null, (sqes, base) => encodePoll(sqes, base, args)).promise
}

/** Rejects with `ETIME` after `ns`. */
export function expire(ns: number, options?: WaitOptions): Promise<number> {
  const buffer = executor().memory.allocate(16)
  writeTimespec(new Uint32Array(buffer.bytes.buffer, buffer.bytes.byteOffset, 4), 0, ns)
  const args = { timespecAddress: buffer.address, absolute: false }
  return new TestOperation(options, buffer, (sqes, base) => encodeTimeout(sqes, base, args)).promise
}

/** Reads from a stream; what is read is dropped. */
export function read(fd: number, lengthBytes: number, options?: WaitOptions): Promise<number> {
  const buffer = executor().memory.allocate(lengthBytes)
  const { address } = buffer
  const args = {
    file: { fd, registered: false },
    memory: { address, lengthBytes, bufferIndex: -1 },
    offsetBytes: -1,
  }
  return new TestOperation(options, buffer, (sqes, base) => encodeRead(sqes, base, args)).promise
}

/** Has the latency ring post into the main one, and resolves when that has reaped all of it. */
export async function postForeign(count: number): Promise<void> {
  const { main, latency } = reactorOf(executor())
  const args = { ringFd: main.memory.fd, result: 0, userDataLow: SLOT_FOREIGN, userDataHigh: 0 }
  const target = main.foreignCount + count
  for (let posted = 0; posted < count; posted++) {
    encodeMessageRing(latency.sqes, latency.begin(), args)
    latency.commitUnwatched()
  }
  while (main.foreignCount < target) await nop()
}

/** A poll of `fd` that reports again and again. */
export class MultishotPoll extends Operation {
  reportCount = 0
  readonly ring: Ring

  constructor(fd: number, ring: Ring = executor().io.main) {
    super(executor().defaultQueue)
    this.ring = ring
    const target = { fd, registered: false }
    encodePoll(ring.sqes, ring.begin(), { target, events: POLLIN, multishot: true })
    ring.commit(this)
  }

  override complete(result: number, flags: number): void {
    this.reportCount++
    super.complete(result, flags)
  }

  override run(): void {}
}

/** A no-op in the way of hot operations, with what it has seen. */
export class CountingOperation extends Operation {
  completionCount = 0
  runCount = 0
  onComplete: (() => void) | null = null

  override complete(result: number, flags: number): void {
    this.completionCount++
    this.onComplete?.()
    super.complete(result, flags)
  }

  override run(): void {
    this.runCount++
  }
}
