/**
 * node-scan WHAT PATH SIZE_BYTES CHUNK_BYTES: a file as a stream of Node's.
 *
 * Reads it with `createReadStream`, checking a word of each chunk; or writes it with `createWriteStream` in chunks of that size, waiting for
 * `drain` as told to, and syncs it unless these are `records`. Prints bytes, seconds, the process's CPU and its peak of memory.
 */

import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { finished } from 'node:stream/promises'
import { BLOCK_BYTES } from '../block-data.ts'

const [what = '', path = '', ...numbers] = process.argv.slice(2)
const [sizeBytes = 0, chunkBytes = 0] = numbers.map(Number)

// As percore does it: to be compiled is not what is measured.
if (what === 'write') await writeThrough()

const cpuFrom = process.cpuUsage()
const fromMs = performance.now()
const bytes = what === 'read' ? await readThrough() : await writeThrough()
const seconds = (performance.now() - fromMs) / 1_000
const cpu = process.cpuUsage(cpuFrom)
const rssKib = process.resourceUsage().maxRSS
const answer = { bytes, seconds, cpuUs: cpu.user + cpu.system, rssKib }
process.stdout.write(`${JSON.stringify(answer)}\n`)

async function readThrough(): Promise<number> {
  let at = 0
  for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes })) {
    const data = chunk as Buffer
    if (at % BLOCK_BYTES === 0 && data.readUInt32LE(0) !== at / BLOCK_BYTES) {
      throw new Error(`Cannot trust a read at ${at}`)
    }
    at += data.length
  }
  if (at !== sizeBytes) throw new Error(`Cannot go on: ${at} bytes came of ${sizeBytes}`)
  return at
}

async function writeThrough(): Promise<number> {
  const stream = createWriteStream(path, { highWaterMark: 1024 * 1024 })
  const data = new Uint8Array(chunkBytes).fill(0x5a)
  const count = Math.floor(sizeBytes / chunkBytes)
  for (let index = 0; index < count; index++) {
    if (!stream.write(data)) await once(stream, 'drain')
  }
  stream.end()
  await finished(stream)
  if (what === 'write') {
    const file = await open(path, 'r+')
    await file.datasync()
    await file.close()
  }
  return count * chunkBytes
}
