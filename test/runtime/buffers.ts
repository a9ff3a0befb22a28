/** What drivers do with buffers of others in tests. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import {
  adoptBuffer,
  allocateBuffer,
  type BufferTicket,
  detachBuffer,
  executor,
  type Lease,
} from '../../src/index.ts'

const kept: Lease[] = []
/** Buffers that were transferred, which have their memory longer than their leases. */
const transferred: ArrayBuffer[] = []

/** A buffer full of `value`, on its way; what is allocated here already shows whether it has come back. */
export function fill({ value, lengthBytes }: { value: number; lengthBytes: number }): BufferTicket {
  const lease = allocateBuffer(lengthBytes)
  lease.bytes.fill(value)
  return detachBuffer(lease)
}

export function sum(ticket: BufferTicket): number {
  using lease = adoptBuffer(ticket)
  return lease.bytes.reduce((total, byte) => total + byte, 0)
}

/** Adopts it, and neither releases nor forgets it. */
export function keep(ticket: BufferTicket): number {
  const lease = adoptBuffer(ticket)
  kept.push(lease)
  return lease.lengthBytes
}

/** What is kept, changed by 1, and its first byte then. */
export function touch(): number {
  const { bytes } = kept[0]!
  bytes[0]!++
  return bytes[0]!
}

/** Releases what is kept: what views of it show then. */
export function release(): number {
  const views = kept.map(({ bytes }) => bytes)
  for (const lease of kept.splice(0)) lease.release()
  return views.reduce((total, { length }) => total + length, 0)
}

/** Takes the memory for good, and releases its lease; how much that was. */
export async function transfer(ticket: BufferTicket): Promise<number> {
  const lease = adoptBuffer(ticket)
  const buffer = await take(lease.bytes as Uint8Array<ArrayBuffer>)
  transferred.push(buffer)
  lease.release()
  return buffer.byteLength
}

/** Forgets what was transferred, and has it collected. */
export function forgetTransferred(): void {
  transferred.length = 0
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
}

/** I/O memory of this thread that is mapped, and leases that are out. */
export function memory(): { sizeBytes: number; leasedCount: number } {
  const { sizeBytes, leasedCount } = executor().stats().ioMemory
  return { sizeBytes, leasedCount }
}

export async function closeExecutor(): Promise<void> {
  setImmediate(() => void executor().close())
}

/** As `buffer.transfer()` does from Node 22 on. */
async function take(bytes: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer> {
  const stream = new ReadableStream({ type: 'bytes', start: (to) => to.enqueue(bytes) })
  const { value } = await stream.getReader().read()
  return value!.buffer as ArrayBuffer
}
