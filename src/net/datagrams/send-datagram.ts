import {
  assert,
  type KernelError,
  type KernelErrorContext,
  type RuntimeError,
} from '../../base/index.ts'
import { AwaitedOperation, type Executor, type WaitOptions } from '../../executor/index.ts'
import { SOL_UDP, UDP_SEGMENT } from '../../kernel/index.ts'
import { isLent, Lease } from '../../memory/index.ts'
import { SLOT_CREATED, SLOT_QUEUED } from '../../ring/index.ts'
import type { SendBuffer } from '../memory/send-memory.ts'
import { formatAddress } from '../values/address.ts'
import { decodeRaw, type RawAddress } from './address-book.ts'

// ABI: struct msghdr, then a struct iovec, control data of one int, and the name, in words.
const WORD_NAME = 0
const WORD_NAME_LENGTH = 2
const WORD_VECTORS = 4
const WORD_VECTOR_COUNT = 6
const WORD_CONTROL = 8
const WORD_CONTROL_LENGTH = 10
const WORD_VECTOR = 14
const WORD_CONTROL_DATA = 18
const WORD_NAME_DATA = 24
const NAME_WORDS_MAX = 28
const WORD_RANGE = 2 ** 32
// ABI: struct cmsghdr with a value of 16 bits: its length, and the room it takes.
const CONTROL_LENGTH = 18
const CONTROL_ROOM = 24
/** What lies before the data that is sent with a header. */
export const SEND_HEAD_BYTES: number = (WORD_NAME_DATA + NAME_WORDS_MAX) * 4

/** What one send takes. */
export interface DatagramToSend {
  readonly data: Uint8Array | Lease
  readonly lengthBytes: number
  /** Null for who the socket is connected to. */
  readonly to: RawAddress | null
  /** How long the datagrams are that it is cut into, or 0 if it is one. */
  readonly segmentBytes: number
}

/** The sending side that a datagram waits at. */
export interface SendDatagramSide {
  readonly closeReason: Error | null
  describe(): KernelErrorContext
  /** Takes one off that waits. */
  withdraw(send: SendDatagram): void
  completed(send: SendDatagram, result: number, flags: number): void
  executorCloses(reason: RuntimeError): void
}

/** One call of `send()`, and its request: first it may wait for its turn. */
export class SendDatagram extends AwaitedOperation<void> {
  before: SendDatagram | null = null
  behind: SendDatagram | null = null
  /** Its place among the calls of its socket. */
  order = 0
  /** Its memory while it is with the kernel, or null. */
  buffer: SendBuffer | null = null
  /** Where the kernel reads who it goes to, while that is apart from a header; else 0. */
  nameAddress = 0
  readonly lengthBytes: number
  readonly to: RawAddress | null
  readonly segmentBytes: number
  /** Where the data is for the kernel, or 0 if it has to be copied. */
  readonly inPlace: number
  readonly #side: SendDatagramSide
  readonly #lease: Lease | null
  #data: Uint8Array | null

  constructor(executor: Executor, side: SendDatagramSide, datagram: DatagramToSend) {
    super(executor)
    const { data } = datagram
    this.#side = side
    this.lengthBytes = datagram.lengthBytes
    this.to = datagram.to
    this.segmentBytes = datagram.segmentBytes
    if (data instanceof Lease) {
      this.#lease = data
      this.#data = null
      this.inPlace = data.address
    } else {
      this.#lease = null
      this.#data = data
      this.inPlace = 0
    }
  }

  /** Whether it needs a header: for a name that does not lie apart, or control data. */
  get hasHeader(): boolean {
    return this.segmentBytes > 0 || (this.to !== null && this.nameAddress === 0)
  }

  /** How much memory it needs to be sent from. */
  get neededBytes(): number {
    const copiedBytes = this.inPlace === 0 ? this.lengthBytes : 0
    return this.hasHeader ? SEND_HEAD_BYTES + copiedBytes : copiedBytes
  }

  get isLost(): boolean {
    if (this.inPlace !== 0 || this.lengthBytes === 0) return false
    return this.#bytes().length < this.lengthBytes
  }

  /** Ties it to what may end it, and keeps its memory. @throws as {@link bindCancellation} does. */
  begin(options: WaitOptions | undefined): void {
    this.bind(options, 'send')
    this.#lease?.pin()
  }

  /** It waits for its turn. */
  enqueue(): void {
    assert(this.slot === SLOT_CREATED, 'what waits for its turn has not begun')
    this.slot = SLOT_QUEUED
    this.keepLentBytes()
  }

  /** It waits again, as it was stopped before it was sent. */
  requeue(): void {
    this.slot = SLOT_QUEUED
  }

  /** Copies what its data shows of lent memory, since it has to wait, and the lender may not. */
  keepLentBytes(): void {
    const data = this.#data
    if (data !== null && isLent(data)) this.#data = new Uint8Array(data)
  }

  /** Whether its caller has given up: it is not sent again. */
  get isGivenUp(): boolean {
    return this.isCancelled
  }

  /** Ends it unsent. */
  reject(reason: unknown): void {
    const wasCreated = this.slot === SLOT_CREATED
    this.cancel(reason)
    if (wasCreated) this.settle(0, 0)
  }

  /** Its request has ended for good. */
  end(result: number, flags: number): void {
    this.settle(result, flags)
  }

  /** Writes what the kernel is to read; returns where the data is. */
  stage(buffer: SendBuffer | null): number {
    this.buffer = buffer
    if (buffer === null) return this.inPlace
    const headBytes = this.hasHeader ? SEND_HEAD_BYTES : 0
    const { lease } = buffer
    const { address } = lease
    let dataAddress = this.inPlace
    if (dataAddress === 0) {
      dataAddress = address + headBytes
      if (this.lengthBytes > 0) lease.bytes.set(this.#bytes(), headBytes)
    }
    if (headBytes > 0) this.#writeHead(buffer.words, address, dataAddress)
    return dataAddress
  }

  override complete(result: number, flags: number): void {
    this.#side.completed(this, result, flags)
  }

  override executorCloses(reason: RuntimeError): void {
    super.executorCloses(reason)
    this.#side.executorCloses(reason)
  }

  protected override dequeue(): void {
    this.#side.withdraw(this)
  }

  // What was sent cannot be taken back.
  protected override isIrrevocable(): boolean {
    return true
  }

  protected override interpret(): void {}

  protected override describe(): KernelErrorContext {
    const context = this.#side.describe()
    return this.to === null ? context : { ...context, address: formatAddress(decodeRaw(this.to)) }
  }

  protected override failure(result: number): KernelError {
    const { closeReason } = this.#side
    return closeReason === null ? super.failure(result) : (closeReason as KernelError)
  }

  protected override finish(): void {
    this.#lease?.unpin()
    this.#data = null
  }

  #bytes(): Uint8Array {
    return this.#data ?? this.#lease!.pinnedBytes(this.lengthBytes)
  }

  #writeHead(words: Uint32Array, address: number, dataAddress: number): void {
    const { to, segmentBytes, lengthBytes } = this
    // Plain stores: calls of fill() and set() cost more than so few words.
    for (let word = 0; word < WORD_NAME_DATA; word++) words[word] = 0
    if (to !== null) {
      const name = to.words
      for (let word = 0; word < name.length; word++) words[WORD_NAME_DATA + word] = name[word]!
      writeAddress(words, WORD_NAME, address + WORD_NAME_DATA * 4)
      words[WORD_NAME_LENGTH] = to.lengthBytes
    }
    writeAddress(words, WORD_VECTORS, address + WORD_VECTOR * 4)
    words[WORD_VECTOR_COUNT] = 1
    writeAddress(words, WORD_VECTOR, dataAddress)
    words[WORD_VECTOR + 2] = lengthBytes
    if (segmentBytes === 0) return
    writeAddress(words, WORD_CONTROL, address + WORD_CONTROL_DATA * 4)
    words[WORD_CONTROL_LENGTH] = CONTROL_ROOM
    words[WORD_CONTROL_DATA] = CONTROL_LENGTH
    words[WORD_CONTROL_DATA + 2] = SOL_UDP
    words[WORD_CONTROL_DATA + 3] = UDP_SEGMENT
    words[WORD_CONTROL_DATA + 4] = segmentBytes
  }
}

function writeAddress(words: Uint32Array, word: number, address: number): void {
  words[word] = address
  words[word + 1] = address / WORD_RANGE
}
