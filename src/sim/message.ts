import { EFAULT, EINVAL, RIGHTS_MAX, SCM_RIGHTS, SOL_SOCKET } from '../kernel/index.ts'
import type { SimCore } from './core.ts'
import { readVectors, readWide } from './vectors.ts'

const MESSAGE_BYTES = 56
const CONTROL_HEAD_BYTES = 16

/** What a `struct msghdr` says. */
export interface SimMessage {
  readonly name: number
  readonly nameBytes: number
  readonly controlBytes: number
  readonly control: number
  readonly memory: readonly Uint8Array<ArrayBuffer>[]
}

// ABI: struct msghdr: name 0, its length 8, vectors 16, their count 24, control 32, 40, flags 48.
/** Reads a `struct msghdr`, or returns `-errno`. */
export function readMessage(core: SimCore, address: number): SimMessage | number {
  const bytes = core.memory.view(address, MESSAGE_BYTES)
  if (bytes === null) return -EFAULT
  const fields = new DataView(bytes.buffer, bytes.byteOffset, MESSAGE_BYTES)
  const length = readWide(fields, 24)
  const memory =
    length === 0 ? [] : readVectors(core.memory, { address: readWide(fields, 16), length })
  if (typeof memory === 'number') return memory
  return {
    name: readWide(fields, 0),
    nameBytes: fields.getUint32(8, true),
    controlBytes: readWide(fields, 40),
    control: readWide(fields, 32),
    memory,
  }
}

// ABI: struct cmsghdr: length 0, level 8, type 12, then the data; each begins at a multiple of 8.
/** The descriptors that a message to be sent names, or `-errno`. */
export function readRights(
  core: SimCore,
  { control, controlBytes }: SimMessage,
): readonly number[] | number {
  if (controlBytes === 0) return []
  const bytes = core.memory.view(control, controlBytes)
  if (bytes === null) return -EFAULT
  const fields = new DataView(bytes.buffer, bytes.byteOffset, controlBytes)
  const fds: number[] = []
  for (let at = 0; at + CONTROL_HEAD_BYTES <= controlBytes; ) {
    const length = readWide(fields, at)
    if (length < CONTROL_HEAD_BYTES || at + length > controlBytes) return -EINVAL
    const isRights = fields.getInt32(at + 12, true) === SCM_RIGHTS
    if (fields.getInt32(at + 8, true) !== SOL_SOCKET || !isRights) return -EINVAL
    for (let item = CONTROL_HEAD_BYTES; item + 4 <= length; item += 4) {
      fds.push(fields.getInt32(at + item, true))
    }
    at += Math.ceil(length / 8) * 8
  }
  return fds.length > RIGHTS_MAX ? -EINVAL : fds
}

/** Writes what a receive sets in a `struct msghdr`. */
export function writeMessage(
  core: SimCore,
  address: number,
  nameBytes: number,
  flags: number,
): void {
  const bytes = core.memory.view(address, MESSAGE_BYTES)!
  const fields = new DataView(bytes.buffer, bytes.byteOffset, MESSAGE_BYTES)
  fields.setUint32(8, nameBytes, true)
  fields.setUint32(40, 0, true)
  fields.setUint32(48, flags, true)
}
