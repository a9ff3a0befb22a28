import { GIB, validateInteger } from '../base/index.ts'
import type { Lease } from '../memory/index.ts'
import { executor } from './current.ts'

/**
 * I/O memory of this thread's executor, which files and sockets read into and write from without a
 * copy: yours until you release it.
 *
 * Aligned to its length rounded up to a power of two, so that from 4 KiB on it suits direct files
 * too, which want whole blocks (`DirectFile.allocateBuffer()` rounds up to them). It holds whatever was
 * there before. O(log n) in the size of I/O memory; from 1 byte to 1 GiB.
 *
 * @throws {RuntimeError} `ERR_OUT_OF_MEMORY` when the limit (`ioMemoryBytesMax`) is reached;
 * {@link RangeError} for other lengths.
 *
 * @example Send from memory that is filled once
 * ```ts run
 * import { allocateBuffer } from 'percore'
 * import { TcpListener, TcpStream } from 'percore/net'
 *
 * await using listener = await TcpListener.bind({ host: '127.0.0.1', port: 0 })
 * await using client = await TcpStream.connect({ port: listener.address.port })
 * using greeting = allocateBuffer(16)
 * greeting.trim(new TextEncoder().encodeInto('hello', greeting.bytes).written)
 * await client.write(greeting)
 * ```
 */
export function allocateBuffer(lengthBytes: number): Lease {
  validateInteger('allocate a buffer', 'lengthBytes', lengthBytes, { min: 1, max: GIB })
  const owner = executor()
  owner.assertOpen('allocate a buffer')
  return owner.memory.allocate(lengthBytes)
}
