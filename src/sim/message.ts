import { EFAULT } from '../kernel/index.ts'
import type { SimCore } from './core.ts'
import { readVectors, readWide } from './vectors.ts'

const MESSAGE_BYTES = 56

/** What a `struct msghdr` says. */
export interface SimMessage {
  readonly name: number
  readonly nameBytes: number
  readonly controlBytes: number
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
    memory,
  }
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
