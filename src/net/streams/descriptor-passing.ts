/** Descriptors that go over a Unix stream, with bytes (`SCM_RIGHTS`). */
import {
  assert,
  isBytes,
  optionNames,
  RuntimeError,
  validateInteger,
  validateOptions,
  wrongBytes,
  wrongType,
} from '../../base/index.ts'
import {
  Deadline,
  type Executor,
  OwnedDescriptor,
  refuse,
  type WaitOptions,
} from '../../executor/index.ts'
import {
  EAGAIN,
  EINTR,
  kernelError,
  POLLIN,
  RIGHTS_HEAD_WORDS,
  RIGHTS_MAX,
} from '../../kernel/index.ts'
import { Lease } from '../../memory/index.ts'
import { encodePoll, type Ring } from '../../ring/index.ts'
import { RIGHTS_SENT_MAX } from '../memory/message-header.ts'
import { SentRights } from '../memory/sent-rights.ts'
import { READ_CHUNK } from '../receiving/reads.ts'
import type { Socket } from '../sockets/socket.ts'
import { SocketOperation } from '../sockets/socket-operation.ts'
import {
  type DescriptorHolder,
  NOTE_SENT,
  type ReceiveDescriptorsOptions,
  ReceivedMessage,
  type SentHolder,
} from '../values/received-message.ts'

const RECEIVE_NAMES = optionNames<ReceiveDescriptorsOptions>({
  countMax: true,
  signal: true,
  timeoutMs: true,
})
const DATA_BYTES_MAX: number = 64 * 1024

/** Sends bytes, and descriptors with the first of them. */
export function sendDescriptors(
  socket: Socket,
  data: Uint8Array | Lease,
  holders: readonly (DescriptorHolder | number)[],
  options: WaitOptions | undefined,
): Promise<void> {
  const action = 'send descriptors'
  try {
    validateData(action, data)
    const fds = numbersOf(action, holders)
    if (socket.isClosing) throw socket.closedError(action)
    const { executor: current, sendMemory } = socket.net
    current.assertOpen(action)
    const header = sendMemory.takeHeader()
    if (header === null) throw outOfMemory(action)
    const own: number[] = []
    const rights = new SentRights(current, { memory: sendMemory, header, fds: own })
    try {
      for (const fd of fds) own.push(duplicate(current, fd))
    } catch (error) {
      rights.end()
      throw error
    }
    for (const holder of holders) noteSent(holder)
    return socket.sending().write(data, options, rights)
  } catch (error) {
    return refuse(error)
  }
}

/** The next chunk and what came with it, or null at the end. */
export async function receiveDescriptors(
  socket: Socket,
  options: ReceiveDescriptorsOptions,
): Promise<ReceivedMessage | null> {
  const action = 'receive descriptors'
  validateOptions(action, options, RECEIVE_NAMES)
  const { countMax = RIGHTS_MAX, signal, timeoutMs } = options
  validateInteger(action, 'countMax', countMax, { min: 1, max: RIGHTS_MAX })
  if (socket.isClosing) throw socket.closedError(action)
  const { executor: current } = socket.net
  current.assertOpen(action)
  const limitMs = shorter(timeoutMs, socket.watch?.readMs)
  const wait = new Deadline(current, action, { signal, timeoutMs: limitMs })
  const receiver = socket.receiving()
  if (receiver.hasBegun) throw readOtherwise(action)
  // The end, or what it ended with.
  if (receiver.isReady()) return (await receiver.read(READ_CHUNK, wait.next(), null)) as null
  receiver.lend(action)
  // Nothing has come of it, as long as it is that.
  let result = -EAGAIN
  try {
    while (result === -EAGAIN || result === -EINTR) {
      await new ReadinessOperation(socket).start(wait.next(), action)
      // Else its number may be another's by now.
      if (socket.isClosed) break
      result = current.descriptors.receiveRights(
        socket.fd,
        bytes,
        rights.subarray(0, RIGHTS_HEAD_WORDS + countMax),
      )
    }
  } catch (error) {
    throw socket.isClosing ? socket.endedError(action) : error
  } finally {
    receiver.takeBack(result)
  }
  if (current.isClosed) throw current.waits.closedError(action)
  if (socket.isClosing) throw socket.endedError(action)
  if (result < 0) throw kernelError(result, socket.describe('recvmsg'))
  return result === 0 ? null : takeMessage(current, result)
}

/** Waits until there is something to receive, and takes nothing: so one that is cancelled loses nothing. */
class ReadinessOperation extends SocketOperation {
  protected override encode(ring: Ring, base: number): void {
    encodePoll(ring.sqes, base, { target: this.socket, events: POLLIN, multishot: false })
  }

  protected override describe(): ReturnType<Socket['describe']> {
    return this.socket.describe('poll')
  }
}

function shorter(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined || other === undefined) return one ?? other
  return Math.min(one, other)
}

/** What is received into, before it is copied: nothing else runs in between. */
const bytes = new Uint8Array(DATA_BYTES_MAX)
const rights = new Int32Array(RIGHTS_HEAD_WORDS + RIGHTS_MAX)

function takeMessage(current: Executor, lengthBytes: number): ReceivedMessage {
  const end = RIGHTS_HEAD_WORDS + rights[0]!
  const fds = Array.from(rights.subarray(RIGHTS_HEAD_WORDS, end))
  const descriptors = fds.map((fd) => new OwnedDescriptor(current, fd))
  return new ReceivedMessage(bytes.slice(0, lengthBytes), descriptors, rights[1] !== 0)
}

/** @throws {TypeError | RangeError | RuntimeError} for what has no open descriptor. */
function numbersOf(action: string, holders: unknown): readonly number[] {
  if (!Array.isArray(holders)) {
    throw wrongType(
      action,
      'descriptors',
      'an array of what has a descriptor, or of numbers',
      holders,
    )
  }
  if (holders.length === 0 || holders.length > RIGHTS_SENT_MAX) {
    throw new RangeError(
      `Cannot ${action} as there must be from 1 to ${RIGHTS_SENT_MAX} of them: there are ${holders.length}`,
    )
  }
  return holders.map((holder: unknown, index) => {
    const isNumber = typeof holder === 'number'
    const fd = isNumber ? holder : (holder as Partial<DescriptorHolder> | null)?.fd
    const name = isNumber ? `descriptors[${index}]` : `descriptors[${index}].fd`
    validateInteger(action, name, fd, { min: isNumber ? 0 : -1, max: 2 ** 31 - 1 })
    if (fd === -1) throw holderClosed(action, index)
    return fd as number
  })
}

/** A listener, say, takes no more connections ahead that the other process could serve. */
function noteSent(holder: DescriptorHolder | number): void {
  if (typeof holder === 'object') (holder as Partial<SentHolder>)[NOTE_SENT]?.()
}

/** @throws {TypeError | RangeError} */
function validateData(action: string, data: unknown): void {
  const isLease = data instanceof Lease
  if (!isLease && !isBytes(data)) throw wrongBytes(action, 'data', data, 'a Uint8Array or a Lease')
  const lengthBytes = isLease ? data.lengthBytes : data.length
  if (lengthBytes > 0) return
  throw new RangeError(`Cannot ${action} as data must have a byte for them to go with: it has none`)
}

/** @throws {KernelError} `EBADF`, `EMFILE` */
function duplicate({ descriptors }: Executor, fd: number): number {
  const copy = descriptors.duplicateFd(fd)
  if (copy < 0) throw kernelError(copy, { syscall: 'dup', fd })
  assert(copy !== fd, 'a further descriptor has a number of its own')
  return copy
}

function holderClosed(action: string, index: number): RuntimeError {
  return new RuntimeError(
    'ERR_HANDLE_CLOSED',
    `Cannot ${action} as what they are of must be open: descriptors[${index}] is closed`,
  )
}

function readOtherwise(action: string): RuntimeError {
  return new RuntimeError(
    'ERR_UNSUPPORTED',
    `Cannot ${action} as the stream must not have been read otherwise: such reads go on by themselves, and close what comes with data`,
  )
}

function outOfMemory(action: string): RuntimeError {
  return new RuntimeError(
    'ERR_OUT_OF_MEMORY',
    `Cannot ${action} as there must be I/O memory for the message: others hold all of it`,
  )
}
