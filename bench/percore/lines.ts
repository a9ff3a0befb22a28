/**
 * lines PATH COUNT_BY: counts the lines of a file with percore.
 *
 * `newlines` in blocks as they are, `batches` of strings, or `each` line by itself. Prints lines, seconds and the
 * process's CPU.
 */
import { BufferedFile } from '../../src/io/index.ts'
import { ByteReader } from '../../src/streams/index.ts'

const [path = '', countBy = ''] = process.argv.slice(2)
const file = await BufferedFile.open(path)
const cpuFrom = process.cpuUsage()
const fromMs = performance.now()
const lineCount = await count()
const elapsedMs = performance.now() - fromMs
const cpu = process.cpuUsage(cpuFrom)
await file.close()
const answer = { lines: lineCount, seconds: elapsedMs / 1_000, cpuUs: cpu.user + cpu.system }
process.stdout.write(`${JSON.stringify(answer)}\n`)

function count(): Promise<number> {
  if (countBy === 'newlines') return countNewlines()
  return countBy === 'batches' ? countBatches() : countEach()
}

async function countNewlines(): Promise<number> {
  let count = 0
  for await (const { bytes } of file.stream().leases()) {
    const block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    for (let at = block.indexOf(10); at >= 0; at = block.indexOf(10, at + 1)) count++
  }
  return count
}

async function countBatches(): Promise<number> {
  let count = 0
  for await (const lines of new ByteReader(file.stream()).lineBatches()) {
    for (const line of lines) if (line.length >= 0) count++
  }
  return count
}

async function countEach(): Promise<number> {
  let count = 0
  for await (const line of new ByteReader(file.stream()).lines()) if (line.length >= 0) count++
  return count
}
