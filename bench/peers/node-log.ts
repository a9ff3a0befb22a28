/**
 * node-log FOLDER SEGMENT_BYTES: the log of examples/ as it is written on node:fs and node:net, with the same guarantees.
 *
 * The same records, protocol, segments and group commit; whole batches are written one at a time and synced before anybody is told.
 * Prints its port; ends when its input closes.
 */

import { type FileHandle, open } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import {
  APPEND,
  encodeAppended,
  encodeRefused,
  type Frame,
  FrameParser,
} from '../../examples/log/protocol.ts'
import { HEADER_BYTES, writeRecord, writeSegmentHeader } from '../../examples/log/record.ts'
import { endWithStdin } from './node-server.ts'

const BATCH_BYTES = 1 << 20

const [folder = '', segmentBytes = ''] = process.argv.slice(2)

class Batch {
  readonly bytes: Buffer
  usedBytes = 0
  endOffset: number
  readonly committed: Promise<void>
  commit!: () => void

  constructor(bytes: Buffer, offset: number) {
    this.bytes = bytes
    this.endOffset = offset
    this.committed = new Promise<void>((resolve) => {
      this.commit = resolve
    })
  }
}

class NodeLog {
  readonly #segmentBytes: number
  #file!: FileHandle
  #number = 0
  /** Where the next batch goes in the file. */
  #positionBytes = 0
  #filling: Batch = new Batch(Buffer.alloc(BATCH_BYTES), 0)
  #spare: Buffer = Buffer.alloc(BATCH_BYTES)
  #waiting: { data: Buffer; resolve: (offset: Promise<number>) => void }[] = []
  #isCommitting = false

  constructor(segmentBytes: number) {
    this.#segmentBytes = segmentBytes
  }

  async open(): Promise<void> {
    await this.#beginSegment()
  }

  append(data: Buffer): Promise<number> {
    if (!this.#isCommitting) {
      this.#isCommitting = true
      setImmediate(() => this.#commitAll().catch(fail))
    }
    if (this.#waiting.length === 0 && this.#fits(data)) return this.#push(data)
    return new Promise((resolve) => this.#waiting.push({ data, resolve }))
  }

  #fits(data: Buffer): boolean {
    const usedBytes = this.#filling.usedBytes + HEADER_BYTES + data.length
    return usedBytes <= BATCH_BYTES && this.#positionBytes + usedBytes <= this.#segmentBytes
  }

  #push(data: Buffer): Promise<number> {
    const batch = this.#filling
    const offset = batch.endOffset
    writeRecord(batch.bytes, batch.usedBytes, offset, data)
    batch.usedBytes += HEADER_BYTES + data.length
    batch.endOffset += HEADER_BYTES + data.length
    return batch.committed.then(() => offset)
  }

  async #commitAll(): Promise<void> {
    while (this.#filling.usedBytes > 0 || this.#waiting.length > 0) {
      if (this.#filling.usedBytes > 0) await this.#commitOne()
      else await this.#beginSegment()
      this.#admit()
    }
    this.#isCommitting = false
  }

  async #commitOne(): Promise<void> {
    const batch = this.#filling
    const positionBytes = this.#positionBytes
    this.#filling = new Batch(this.#spare, batch.endOffset)
    this.#spare = batch.bytes
    this.#positionBytes += batch.usedBytes
    this.#admit()
    await this.#file.write(batch.bytes, 0, batch.usedBytes, positionBytes)
    await this.#file.datasync()
    batch.commit()
  }

  #admit(): void {
    while (this.#waiting.length > 0 && this.#fits(this.#waiting[0]!.data)) {
      const { data, resolve } = this.#waiting.shift()!
      resolve(this.#push(data))
    }
  }

  async #beginSegment(): Promise<void> {
    const name = `${String(++this.#number).padStart(8, '0')}.log`
    this.#file = await open(join(folder, name), 'w+')
    // Node has no fallocate(2): this much at least spares changing the size with each write.
    await this.#file.truncate(this.#segmentBytes)
    const header = Buffer.alloc(HEADER_BYTES)
    writeSegmentHeader(header, this.#filling.endOffset)
    await this.#file.write(header, 0, HEADER_BYTES, 0)
    await this.#file.sync()
    const directory = await open(folder, 'r')
    await directory.sync()
    await directory.close()
    this.#positionBytes = HEADER_BYTES
  }
}

const log = new NodeLog(Number(segmentBytes))
await log.open()
const server = createServer({ noDelay: true }, serve)
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('Cannot listen: no port')
  process.stdout.write(`${address.port}\n`)
})
endWithStdin()

function serve(socket: Socket): void {
  const parser = new FrameParser()
  socket.on('data', (chunk) => {
    const frames = parser.push(chunk)
    if (frames.length === 0) return
    const answered =
      frames.length === 1
        ? answer(frames[0]!)
        : Promise.all(frames.map(answer)).then((answers) => Buffer.concat(answers))
    answered.then((bytes) => socket.write(bytes)).catch(fail)
  })
  socket.on('error', () => socket.destroy())
}

function answer({ kind, body }: Frame): Promise<Buffer> {
  if (kind === APPEND) return log.append(body).then(encodeAppended)
  return Promise.resolve(encodeRefused('only appends are measured'))
}

function fail(error: unknown): void {
  console.error(error)
  process.exit(1)
}
