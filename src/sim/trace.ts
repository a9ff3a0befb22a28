import { NS_PER_MS } from '../base/index.ts'
import {
  AF_INET,
  AF_INET6,
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUFFER,
  IORING_CQE_F_MORE,
  IORING_OP_BIND,
  IORING_OP_CLOSE,
  IORING_OP_CONNECT,
  IORING_OP_FALLOCATE,
  IORING_OP_FTRUNCATE,
  IORING_OP_LINKAT,
  IORING_OP_MKDIRAT,
  IORING_OP_OPENAT,
  IORING_OP_OPENAT2,
  IORING_OP_READ,
  IORING_OP_READ_FIXED,
  IORING_OP_READV,
  IORING_OP_RECV,
  IORING_OP_RENAMEAT,
  IORING_OP_SEND,
  IORING_OP_SEND_ZC,
  IORING_OP_STATX,
  IORING_OP_SYMLINKAT,
  IORING_OP_UNLINKAT,
  IORING_OP_WRITE,
  IORING_OP_WRITE_FIXED,
  IORING_OP_WRITEV,
  IOSQE_FIXED_FILE,
} from '../kernel/index.ts'
import { readAddress } from './address.ts'
import type { AddressSpace } from './address-space.ts'
import type { DescriptorTable } from './descriptors.ts'
import type { SimTraceEntry } from './options.ts'
import type { RequestSubject, SimRequest } from './request.ts'
import { readVectors } from './vectors.ts'

/** What {@link describeRequest} looks at besides the request. */
export interface TraceSources {
  readonly memory: AddressSpace
  readonly descriptors: DescriptorTable
  needsFile(opcode: number): boolean
}

/** What a request is about, as of now: once it has ended, its descriptor and memory may be another's. */
export function describeRequest(sources: TraceSources, request: SimRequest): RequestSubject {
  const subject = subjectOf(sources, request)
  const { offset, length } = request
  switch (request.opcode) {
    case IORING_OP_READ:
    case IORING_OP_READ_FIXED:
    case IORING_OP_WRITE:
    case IORING_OP_WRITE_FIXED:
      return { subject, offsetBytes: offset, lengthBytes: length }
    case IORING_OP_READV:
    case IORING_OP_WRITEV:
      return { subject, offsetBytes: offset, lengthBytes: vectorBytes(sources, request) }
    case IORING_OP_FALLOCATE:
      // ABI: the length of the range is where other operations have an address.
      return { subject, offsetBytes: offset, lengthBytes: request.address }
    case IORING_OP_FTRUNCATE:
      return { subject, offsetBytes: null, lengthBytes: offset }
    case IORING_OP_SEND:
    case IORING_OP_SEND_ZC:
    case IORING_OP_RECV:
      return { subject, offsetBytes: null, lengthBytes: length === 0 ? null : length }
    default:
      return { subject, offsetBytes: null, lengthBytes: null }
  }
}

function subjectOf(sources: TraceSources, request: SimRequest): string {
  const path = (address: number): string => `'${sources.memory.text(address) ?? '?'}'`
  switch (request.opcode) {
    case IORING_OP_OPENAT:
    case IORING_OP_OPENAT2:
    case IORING_OP_UNLINKAT:
    case IORING_OP_MKDIRAT:
      return path(request.address)
    case IORING_OP_STATX: {
      const name = path(request.address)
      return name === "''" ? descriptorOf(sources, request) : name
    }
    case IORING_OP_RENAMEAT:
    case IORING_OP_LINKAT:
    case IORING_OP_SYMLINKAT:
      return `${path(request.address)} to ${path(request.offset)}`
    case IORING_OP_CONNECT:
    case IORING_OP_BIND:
      return `${descriptorOf(sources, request)} to ${addressOf(sources, request)}`
    default:
      return sources.needsFile(request.opcode) || request.opcode === IORING_OP_CLOSE
        ? descriptorOf(sources, request)
        : ''
  }
}

function descriptorOf(sources: TraceSources, request: SimRequest): string {
  const { files } = request.ring
  const slot = request.opcode === IORING_OP_CLOSE ? request.fileIndex - 1 : request.fd
  const isFixed = request.opcode === IORING_OP_CLOSE ? slot >= 0 : request.flags & IOSQE_FIXED_FILE
  if (isFixed) return `slot ${slot} ${files?.[slot]?.label ?? '(none)'}`
  return `fd ${request.fd} ${sources.descriptors.get(request.fd)?.label ?? '(none)'}`
}

function addressOf(sources: TraceSources, request: SimRequest): string {
  const raw = sources.memory.view(request.address, request.offset)
  const address = raw === null ? -1 : readAddress(raw)
  if (typeof address === 'number') return '?'
  const { family, host, port } = address
  if (family !== AF_INET && family !== AF_INET6) return `'${host}'`
  const bytes = Buffer.from(host, 'latin1')
  if (family === AF_INET) return `${bytes.join('.')}:${port}`
  return `[${bytes.toString('hex').replace(/.{4}(?=.)/g, '$&:')}]:${port}`
}

function vectorBytes(sources: TraceSources, request: SimRequest): number | null {
  const views = readVectors(sources.memory, request)
  return typeof views === 'number' ? null : views.reduce((sum, view) => sum + view.length, 0)
}

/**
 * One line for people: `1000.012345 ms READ fd 10001 file '/tmp/a' offset 0 length 4096 -> 4096`, with the name of the
 * thread behind the time where there is one to say.
 */
export function formatTrace(entry: SimTraceEntry, threadName: string | null = null): string {
  const words = [`${(entry.timeNs / NS_PER_MS).toFixed(6)} ms`]
  if (threadName !== null) words.push(`${threadName}:`)
  words.push(entry.operation)
  if (entry.subject !== '') words.push(entry.subject)
  if (entry.offsetBytes !== null) words.push(`offset ${entry.offsetBytes}`)
  if (entry.lengthBytes !== null) words.push(`length ${entry.lengthBytes}`)
  words.push(`-> ${entry.result}`)
  const { flags } = entry
  if (flags & IORING_CQE_F_BUFFER) words.push(`buffer ${flags >>> IORING_CQE_BUFFER_SHIFT}`)
  if (flags & IORING_CQE_F_MORE) words.push('more')
  return words.join(' ')
}
