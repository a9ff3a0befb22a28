/** Functions that tests call in other threads. */
import { readFileSync } from 'node:fs'
import { threadId } from 'node:worker_threads'
import { RuntimeError } from '../../src/base/index.ts'
import { transferResult } from '../../src/blocking/index.ts'
import { allocateBuffer, type Lease } from '../../src/index.ts'

/** Words that {@link pass} counts and waits by. */
export const STARTED = 0
export const OPEN = 1

let callCount = 0

export const constant = 5

export function add(a: number, b: number): number {
  return a + b
}

export async function addLater(a: number, b: number): Promise<number> {
  await new Promise((resolve) => setImmediate(resolve))
  return a + b
}

/** Says that it has started, and blocks until it may end. */
export function pass<T>(words: Int32Array, value: T): T {
  Atomics.add(words, STARTED, 1)
  Atomics.wait(words, OPEN, 0)
  return value
}

export function countCalls(): [thread: number, callCount: number] {
  return [threadId, ++callCount]
}

export function sum(bytes: Uint8Array): number {
  return bytes.reduce((total, byte) => total + byte, 0)
}

export function make(lengthBytes: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(lengthBytes).fill(7)
  return transferResult(bytes, [bytes.buffer])
}

export function failInside(): never {
  throw new RangeError('out of reach', { cause: new TypeError('the cause') })
}

export function failWithCode(): never {
  readFileSync('/there/is/no/such/file')
  throw new Error('not reached')
}

export function failOfPercore(): never {
  throw new RuntimeError('ERR_LIMIT_EXCEEDED', 'Cannot go on as there must be less')
}

export function failWithValue(): never {
  throw { reason: 42 } as unknown as Error
}

export function giveFunction(): () => void {
  return () => {}
}

export function giveLease(): Lease {
  return allocateBuffer(512)
}

export function exit(code: number): void {
  process.exit(code)
}

export function loop(words?: Int32Array): never {
  if (words !== undefined) Atomics.add(words, STARTED, 1)
  for (;;);
}

export function eatMemory(): never {
  const eaten: unknown[] = []
  for (;;) eaten.push(new Array(10_000).fill({ a: 1 }))
}

export function failBeside(): Promise<never> {
  setImmediate(() => {
    throw new Error('of nobody')
  })
  return new Promise(() => setInterval(() => {}, 1000))
}

/** Leaves something in the event loop of its thread. */
export function leaveTimer(): void {
  setInterval(() => {}, 1000)
}

/** The processors that its thread may run on, as the kernel lists them. */
export function allowedCpus(): string {
  const status = readFileSync('/proc/thread-self/status', 'latin1')
  return /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)![1]!
}
