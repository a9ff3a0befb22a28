/** Files used by many at once, all of whose operations may be given up; every byte is checked. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { executor } from '../../src/index.ts'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import type { Lease } from '../../src/memory/index.ts'
import { type Cancels, STOPPED } from './cancels.ts'

const FILE_BYTES = 256 * 1024
const BLOCK_BYTES = 4096
const PIECE_BYTES_MAX = 3 * BLOCK_BYTES
const USERS = 8
/** What no file here holds. */
const FOREIGN = 0xfe

type AnyFile = BufferedFile | DirectFile

/** Byte number `position` of every file: odd, hence never one that was not written. */
function byteAt(position: number): number {
  return ((position * 31 + (position >>> 8) * 7 + (position >>> 16)) & 254) + 1
}

function fillPattern(bytes: Uint8Array, offsetBytes: number): void {
  for (let index = 0; index < bytes.length; index++) bytes[index] = byteAt(offsetBytes + index)
}

function checkPattern(bytes: Uint8Array, offsetBytes: number, written: Uint8Array): void {
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index]
    if (byte === byteAt(offsetBytes + index) || (byte === 0 && written[index] === 0)) continue
    assert.fail(`byte ${offsetBytes + index} is ${byte}`)
  }
}

/** A file of which each byte is the pattern's, or 0 as long as no write of it has succeeded. */
class CheckedFile {
  readonly #file: AnyFile
  readonly #cancels: Cancels
  /** By byte: 1 once it is certain to be written. */
  readonly #written = new Uint8Array(FILE_BYTES)
  readonly #actions: ((buffer: Lease) => Promise<void>)[] = [
    () => this.#readPiece(),
    () => this.#writePiece(),
    (buffer) => this.#readBlock(buffer),
    (buffer) => this.#writeBlock(buffer),
    () => this.#openAgain(),
  ]

  constructor(file: AnyFile, cancels: Cancels) {
    this.#file = file
    this.#cancels = cancels
  }

  /** One operation, of any kind. */
  async use(buffer: Lease): Promise<void> {
    await this.#cancels.prng.pick(this.#actions)(buffer)
  }

  async #readPiece(): Promise<void> {
    const [offsetBytes, lengthBytes] = this.#pickPiece()
    await this.#checkRead(offsetBytes, lengthBytes, (signal) =>
      readAny(this.#file, offsetBytes, lengthBytes, signal),
    )
  }

  async #readBlock(buffer: Lease): Promise<void> {
    const offsetBytes = this.#pickBlock(buffer)
    buffer.bytes.fill(FOREIGN)
    await this.#checkRead(offsetBytes, buffer.lengthBytes, async (signal) => {
      const count = await this.#file.readInto(buffer, offsetBytes, { signal })
      return buffer.bytes.subarray(0, count)
    })
  }

  async #writePiece(): Promise<void> {
    const [offsetBytes, lengthBytes] = this.#pickPiece()
    const data = new Uint8Array(lengthBytes)
    fillPattern(data, offsetBytes)
    await this.#noteWrite(offsetBytes, lengthBytes, (signal) =>
      writeAny(this.#file, data, offsetBytes, signal),
    )
  }

  async #writeBlock(buffer: Lease): Promise<void> {
    const offsetBytes = this.#pickBlock(buffer)
    fillPattern(buffer.bytes, offsetBytes)
    await this.#noteWrite(offsetBytes, buffer.lengthBytes, (signal) =>
      this.#file.write(buffer, offsetBytes, { signal }),
    )
  }

  async #openAgain(): Promise<void> {
    const options = { read: true, write: true, create: true }
    const other = await this.#cancels.attempt((signal) =>
      BufferedFile.open(this.#file.path, { ...options, signal }),
    )
    if (other !== STOPPED) await other.close()
  }

  async #checkRead(
    offsetBytes: number,
    lengthBytes: number,
    begin: (signal: AbortSignal | undefined) => Promise<Uint8Array>,
  ): Promise<void> {
    // As of now: what is written meanwhile may come or not.
    const written = this.#written.slice(offsetBytes, offsetBytes + lengthBytes)
    const bytes = await this.#cancels.attempt(begin)
    if (bytes === STOPPED) return
    assert.equal(bytes.length, lengthBytes)
    checkPattern(bytes, offsetBytes, written)
  }

  async #noteWrite(
    offsetBytes: number,
    lengthBytes: number,
    begin: (signal: AbortSignal | undefined) => Promise<number>,
  ): Promise<void> {
    const count = await this.#cancels.attempt(begin)
    if (count === STOPPED) return
    assert.equal(count, lengthBytes)
    this.#written.fill(1, offsetBytes, offsetBytes + count)
  }

  #pickPiece(): [offsetBytes: number, lengthBytes: number] {
    const { prng } = this.#cancels
    const lengthBytes = prng.int(1, PIECE_BYTES_MAX)
    return [prng.int(0, FILE_BYTES - lengthBytes), lengthBytes]
  }

  #pickBlock(buffer: Lease): number {
    const last = (FILE_BYTES - buffer.lengthBytes) / BLOCK_BYTES
    return this.#cancels.prng.int(0, last) * BLOCK_BYTES
  }
}

async function readAny(
  file: AnyFile,
  offsetBytes: number,
  lengthBytes: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  if (file instanceof BufferedFile) return file.read(offsetBytes, lengthBytes, { signal })
  using result = await file.read(offsetBytes, lengthBytes, { signal })
  return result.bytes.slice()
}

function writeAny(
  file: AnyFile,
  data: Uint8Array,
  offsetBytes: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  if (file instanceof BufferedFile) return file.write(data, offsetBytes, { signal })
  return file.writeBytes(data, offsetBytes, { signal })
}

/** Uses a buffered and a direct file in `folder` until so many operations were given up. */
export async function cancelFiles(
  folder: string,
  cancels: Cancels,
  countMin: number,
): Promise<void> {
  await using buffered = await BufferedFile.create(join(folder, 'buffered'))
  await using direct = await DirectFile.create(join(folder, 'direct'), { fallback: 'buffered' })
  const uses = [buffered, direct].map(async (file) => {
    await file.truncate(FILE_BYTES)
    const checked = new CheckedFile(file, cancels)
    await Promise.all(Array.from({ length: USERS }, () => use(checked, cancels, countMin)))
  })
  await Promise.all(uses)
}

async function use(file: CheckedFile, cancels: Cancels, countMin: number): Promise<void> {
  using buffer = executor().memory.allocate(2 * BLOCK_BYTES)
  while (cancels.askedCount < countMin) await file.use(buffer)
}
