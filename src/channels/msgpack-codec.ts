import { deserialize, serialize } from 'node:v8'
import { loadOptional } from '../kernel/index.ts'
import { assertCloneable, isPlain } from './plain-value.ts'

/** What this layer uses of msgpackr. */
interface Packr {
  pack(value: unknown): Uint8Array
  unpack(bytes: Uint8Array): unknown
}

interface MsgpackrModule {
  readonly Packr: new (options: Readonly<Record<string, unknown>>) => Packr
}

/** Begins what is no MessagePack, which has no value that does: a structured clone follows. */
const MARK_CLONE = 0xc1

/** Objects as maps, each message by itself: what one end has learnt of them the other need not know. */
const OPTIONS = { useRecords: false, moreTypes: false, copyBuffers: true }

let packr: Packr | undefined

/**
 * Finds msgpackr, which users install beside percore.
 *
 * @throws {RuntimeError} `ERR_PACKAGE_MISSING`
 */
export function loadMsgpackr(action: string): void {
  if (packr !== undefined) return
  // In JavaScript alone: the package's own door would look for a native part, and compile functions.
  const found = loadOptional(action, 'msgpackr', 'msgpackr/index-no-eval') as MsgpackrModule
  packr = new found.Packr(OPTIONS)
}

/** Called once {@link loadMsgpackr} has found it. */
export function encodeMsgpack(value: unknown): Uint8Array {
  if (isPlain(value)) return packr!.pack(value)
  assertCloneable(value)
  const clone = serialize(value)
  const bytes = new Uint8Array(1 + clone.length)
  bytes[0] = MARK_CLONE
  bytes.set(clone, 1)
  return bytes
}

export function decodeMsgpack(bytes: Uint8Array): unknown {
  return bytes[0] === MARK_CLONE ? deserialize(bytes.subarray(1)) : packr!.unpack(bytes)
}
