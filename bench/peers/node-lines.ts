/**
 * node-lines PATH COUNT_BY: counts the lines of a file with node:fs.
 *
 * `newlines` in the chunks of a stream, `batches` of strings that are split by hand, or `each` line by readline. Prints
 * lines, seconds and the process's CPU, pool threads included.
 */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'

const [path = '', countBy = ''] = process.argv.slice(2)
const cpuFrom = process.cpuUsage()
const fromMs = performance.now()
const lineCount = await count()
const elapsedMs = performance.now() - fromMs
const cpu = process.cpuUsage(cpuFrom)
const answer = { lines: lineCount, seconds: elapsedMs / 1_000, cpuUs: cpu.user + cpu.system }
process.stdout.write(`${JSON.stringify(answer)}\n`)

function count(): Promise<number> {
  if (countBy === 'newlines') return countNewlines()
  return countBy === 'batches' ? countBatches() : countEach()
}

async function countNewlines(): Promise<number> {
  let count = 0
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) count++
  }
  return count
}

async function countBatches(): Promise<number> {
  let count = 0
  let rest = ''
  // With an encoding, so that a character which lies in two chunks is whole.
  for await (const chunk of createReadStream(path, 'utf8') as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.length >= 0) count++
  }
  return count
}

async function countEach(): Promise<number> {
  let count = 0
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Infinity })
  for await (const line of lines) if (line.length >= 0) count++
  return count
}
