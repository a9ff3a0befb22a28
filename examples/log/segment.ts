import { join } from 'node:path'
import { DirectFile, Directory } from 'percore/io'
import { HEADER_BYTES, readRecord, readSegmentHeader, recordLength } from './record.ts'

const SCAN_BYTES = 256 * 1024
const FILL_BYTES = 2 * 1024 * 1024
const PAGE_BYTES = 4096
/** What one read brings of a record whose length nobody knows. */
const GUESS_BYTES = 4096

/** One file of the log, of a fixed size, of which a part is in use. */
export class Segment {
  readonly file: DirectFile
  /** Where it begins in the log. */
  readonly baseOffset: number
  /** Up to where something was written to the file. */
  #filledBytes = 0

  private constructor(file: DirectFile, baseOffset: number) {
    this.file = file
    this.baseOffset = baseOffset
  }

  /** Makes the file, with space for all of it; its name is on the disk when this resolves. */
  static async create(
    folder: string,
    { number, baseOffset, sizeBytes }: { number: number; baseOffset: number; sizeBytes: number },
  ): Promise<Segment> {
    const file = await DirectFile.create(pathOf(folder, number), { fallback: 'buffered' })
    try {
      await reserve(file, sizeBytes)
      await file.sync()
      await syncFolder(folder)
    } catch (error) {
      await file.close()
      throw error
    }
    return new Segment(file, baseOffset)
  }

  /**
   * Opens one that is there; null if there is none, or none that anything was acknowledged of: its first block, which one write
   * brings with the first records, is not there.
   */
  static async open(folder: string, number: number): Promise<Segment | null> {
    const file = await openFile(folder, number)
    if (file === null) return null
    try {
      const header = await readBytes(file, 0, HEADER_BYTES)
      const baseOffset = readSegmentHeader(header)
      if (baseOffset !== null) return new Segment(file, baseOffset)
      if (header.some((byte) => byte !== 0))
        throw new Error(`Cannot trust ${file.path}: its header`)
    } catch (error) {
      await file.close()
      throw error
    }
    await file.close()
    return null
  }

  /** Makes sure that a segment that seems to be empty is the last: what comes behind it would be lost. */
  static async refuseLater(folder: string, number: number): Promise<void> {
    const file = await openFile(folder, number)
    if (file === null) return
    await file.close()
    throw new Error(`Cannot trust the log in ${folder} as segment ${number - 1} has no header`)
  }

  /** Where in the file what has that offset is. */
  positionOf(offset: number): number {
    return HEADER_BYTES + offset - this.baseOffset
  }

  /** Looks at all records in their order; the offset behind the last that is whole. */
  async findEnd(): Promise<number> {
    let end = this.baseOffset
    for (;;) {
      let bytes = await readBytes(this.file, this.positionOf(end), SCAN_BYTES)
      const lengthBytes = recordLength(bytes, 0)
      // A length that nobody wrote may be anything: what is not there can't be read.
      if (lengthBytes > bytes.length && lengthBytes <= (await this.file.size())) {
        bytes = await readBytes(this.file, this.positionOf(end), lengthBytes)
      }
      const start = end
      for (;;) {
        const data = readRecord(bytes, end - start, end)
        if (data === null) break
        end += HEADER_BYTES + data.length
      }
      if (end === start) return end
    }
  }

  /** Forgets all from an offset on: else what was never acknowledged might be found again, behind what is written next. */
  async cut(endOffset: number, sizeBytes: number): Promise<void> {
    const positionBytes = this.positionOf(endOffset)
    await this.file.truncate(positionBytes)
    await reserve(this.file, sizeBytes)
    await this.file.sync()
    this.#filledBytes = Math.ceil(positionBytes / PAGE_BYTES) * PAGE_BYTES
  }

  /**
   * Writes zeros to where a write up to there comes first. What is written where something was before makes the file
   * system note nothing, so that its sync waits for the data alone: with reserved space it takes several times as long.
   */
  async fill(untilBytes: number): Promise<void> {
    const sizeBytes = await this.file.size()
    while (this.#filledBytes < untilBytes) {
      const lengthBytes = Math.min(FILL_BYTES, sizeBytes - this.#filledBytes)
      using zeros = this.file.allocateBuffer(lengthBytes)
      zeros.bytes.fill(0)
      await this.file.write(zeros, this.#filledBytes)
      this.#filledBytes += lengthBytes
    }
  }

  isFilled(untilBytes: number): boolean {
    return this.#filledBytes >= untilBytes
  }

  /** The data of the record of an offset; null if none begins there. */
  async read(offset: number): Promise<Buffer | null> {
    const position = this.positionOf(offset)
    const bytes = await readBytes(this.file, position, GUESS_BYTES)
    const lengthBytes = recordLength(bytes, 0)
    if (lengthBytes <= bytes.length) return readRecord(bytes, 0, offset)
    if (lengthBytes > (await this.file.size()) - position) return null
    return readRecord(await readBytes(this.file, position, lengthBytes), 0, offset)
  }

  close(): Promise<void> {
    return this.file.close()
  }
}

/** Names are on the disk once their directory is. */
async function syncFolder(folder: string): Promise<void> {
  await using directory = await Directory.open(folder)
  await directory.sync()
}

async function openFile(folder: string, number: number): Promise<DirectFile | null> {
  try {
    return await DirectFile.open(pathOf(folder, number), {
      write: true,
      read: true,
      fallback: 'buffered',
    })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

function pathOf(folder: string, number: number): string {
  return join(folder, `${String(number).padStart(8, '0')}.log`)
}

/** Space for all of a file, so that what is written later need not look for it; zeros where nothing was written. */
async function reserve(file: DirectFile, sizeBytes: number): Promise<void> {
  try {
    await file.allocate(sizeBytes)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EOPNOTSUPP') throw error
    await file.truncate(sizeBytes)
  }
}

/** A copy, which lasts. */
async function readBytes(file: DirectFile, position: number, lengthBytes: number): Promise<Buffer> {
  using lease = await file.read(position, lengthBytes)
  return Buffer.from(lease.bytes)
}
