import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { KIB, MIB } from '../../base/index.ts'
import { type DirectionProperties, executor } from '../../executor/index.ts'
import { DirectFile } from '../../io/index.ts'
import type { Lease } from '../../memory/index.ts'

/** What a device does at the most. */
export interface Measured {
  readonly read: DirectionProperties
  readonly write: DirectionProperties
}

export interface MeasureOptions {
  /** Of each of the four measurements. */
  readonly runMs: number
  /** Of the file; a multiple of 1 MiB. */
  readonly sizeBytes: number
}

const LARGE_BYTES: number = MIB
const SMALL_BYTES: number = 4 * KIB
/** Requests at a time: a device with many queues needs so many to show what it can do. */
const LARGE_DEPTH = 8
const SMALL_DEPTH = 64
/** So long nothing counts, in which devices answer from what they have saved up. */
const WARM_UP_PART = 0.2

/**
 * Measures the device below a folder, by direct I/O on a file that is removed again.
 *
 * @throws {RuntimeError} `ERR_UNSUPPORTED` where the file system has no direct I/O; {@link KernelError} `ENOSPC`, `EACCES` …
 */
export async function measureFolder(folder: string, options: MeasureOptions): Promise<Measured> {
  const path = join(folder, `.percore-iotune-${randomBytes(6).toString('hex')}`)
  await using file = await DirectFile.open(path, { read: true, write: true, createNew: true })
  // At once: whatever becomes of this process, no file is left.
  await file.remove()
  await fill(file, options.sizeBytes)
  await file.sync()
  const rate = (isWrite: boolean, requestBytes: number, depth: number): Promise<number> =>
    measure(file, { ...options, isWrite, requestBytes, depth })
  const written = await rate(true, LARGE_BYTES, LARGE_DEPTH)
  const read = await rate(false, LARGE_BYTES, LARGE_DEPTH)
  const writes = await rate(true, SMALL_BYTES, SMALL_DEPTH)
  const reads = await rate(false, SMALL_BYTES, SMALL_DEPTH)
  return {
    read: {
      bytesPerSecond: Math.round(read * LARGE_BYTES),
      operationsPerSecond: Math.round(reads),
    },
    write: {
      bytesPerSecond: Math.round(written * LARGE_BYTES),
      operationsPerSecond: Math.round(writes),
    },
  }
}

/** Writes all of it, so that no read finds a hole, nor a device zeros that it need not store. */
async function fill(file: DirectFile, sizeBytes: number): Promise<void> {
  let nextBytes = 0
  await withBuffers(file, LARGE_BYTES, LARGE_DEPTH, async (buffer) => {
    while (nextBytes < sizeBytes) {
      const offsetBytes = nextBytes
      nextBytes += LARGE_BYTES
      await file.write(buffer, offsetBytes)
    }
  })
}

interface Run extends MeasureOptions {
  readonly isWrite: boolean
  readonly requestBytes: number
  readonly depth: number
}

/** Requests a second: large ones one after the other, small ones anywhere. */
async function measure(file: DirectFile, run: Run): Promise<number> {
  const { runMs, sizeBytes, isWrite, requestBytes, depth } = run
  const clock = executor()
  const placeCount = sizeBytes / requestBytes
  const startNs = clock.nowNs()
  const fromNs = startNs + WARM_UP_PART * runMs * 1e6
  const endNs = fromNs + runMs * 1e6
  let [place, doneCount, lastNs] = [0, 0, fromNs]
  await withBuffers(file, requestBytes, depth, async (buffer) => {
    for (let nowNs = clock.nowNs(); nowNs < endNs; ) {
      const next = requestBytes === LARGE_BYTES ? place++ : Math.floor(Math.random() * placeCount)
      const offsetBytes = (next % placeCount) * requestBytes
      if (isWrite) await file.write(buffer, offsetBytes)
      else await file.readInto(buffer, offsetBytes)
      nowNs = clock.nowNs()
      if (nowNs < fromNs) continue
      doneCount++
      lastNs = Math.max(lastNs, nowNs)
    }
  })
  return Math.max(1, (doneCount * 1e9) / Math.max(1, lastNs - fromNs))
}

/** Runs so many at once, each with a buffer of bytes that do not compress. */
async function withBuffers(
  file: DirectFile,
  lengthBytes: number,
  depth: number,
  run: (buffer: Lease) => Promise<void>,
): Promise<void> {
  const buffers = Array.from({ length: depth }, () => file.allocateBuffer(lengthBytes))
  try {
    for (const { bytes } of buffers) bytes.set(randomBytes(bytes.length))
    await Promise.all(buffers.map(run))
  } finally {
    for (const buffer of buffers) buffer.release()
  }
}
