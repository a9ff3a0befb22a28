import { assert } from '../../base/index.ts'
import type { NetRing } from '../memory/net-ring.ts'
import { DATAGRAM_GROUP, ReceivePool } from '../memory/receive-pool.ts'
import { AddressBook } from './address-book.ts'
import type { ReceivedLayout } from './received-message.ts'
import { SendNames } from './send-names.ts'

/** The longest datagram that there is, of UDP. */
export const DATAGRAM_BYTES_MAX = 65_535
/** Seventeen pages: a datagram, and what goes before it. Not a power of two, so that heads do not share lines of the caches. */
const LARGE_BUFFER_BYTES: number = 17 * 4096
const LARGE_ENTRY_COUNT = 512
const LARGE_INITIAL_COUNT = 8
// ABI: struct msghdr in words: name (two), its length, padding, vectors (two), their count (two), control (two), its length.
const HEADER_BYTES = 56
const WORD_NAME_LENGTH = 2
const WORD_CONTROL_LENGTH = 10

/** What the datagram sockets of a ring share. */
export class DatagramRing {
  readonly net: NetRing
  readonly book: AddressBook = new AddressBook()
  /** For sends to an address; null where the kernel takes that in a header alone. */
  readonly names: SendNames | null
  #large: ReceivePool | null = null
  readonly #templates = new Map<string, number>()

  constructor(net: NetRing) {
    this.net = net
    const { executor, isMultishot } = net
    // The kernels that take it receive many by one request, too.
    const { hasAddressedSend } = executor.io.capabilities
    this.names = isMultishot && hasAddressedSend ? new SendNames(executor.memory) : null
  }

  /** Buffers for messages of so many bytes: those of streams, which most fit into, or larger ones. */
  poolFor(messageBytes: number): ReceivePool {
    const { net } = this
    if (messageBytes <= net.pool.bufferBytes) return net.pool
    assert(messageBytes <= LARGE_BUFFER_BYTES, 'a message fits the larger buffers')
    const { executor, ring } = net
    this.#large ??= new ReceivePool({
      kernel: executor.kernel,
      ring,
      memory: executor.memory,
      bufferBytes: LARGE_BUFFER_BYTES,
      entryCount: LARGE_ENTRY_COUNT,
      initialCount: LARGE_INITIAL_COUNT,
      groupId: DATAGRAM_GROUP,
    })
    return this.#large
  }

  /** The header that says how much room there is before the data: the kernel only reads it, hence one for all. */
  templateFor(layout: ReceivedLayout): number {
    const key = `${layout.nameBytes} ${layout.controlBytes}`
    const known = this.#templates.get(key)
    if (known !== undefined) return known
    const { bytes, address } = this.net.executor.memory.allocateOwn(HEADER_BYTES)
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, HEADER_BYTES / 4)
    words.fill(0)
    words[WORD_NAME_LENGTH] = layout.nameBytes
    words[WORD_CONTROL_LENGTH] = layout.controlBytes
    this.#templates.set(key, address)
    return address
  }
}

const rings = new WeakMap<NetRing, DatagramRing>()

export function datagramRingFor(net: NetRing): DatagramRing {
  let ring = rings.get(net)
  if (ring === undefined) {
    ring = new DatagramRing(net)
    rings.set(net, ring)
  }
  return ring
}
