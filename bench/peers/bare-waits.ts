/**
 * bare-waits FEW MANY ROUNDS: async functions that wait for a plain promise each, in line: each lets the
 * next one go. No executor, no cancelling, nothing shared out: what V8 itself takes for so many that wait.
 */

import { printGrowth, readSizes } from '../growth.ts'

await printGrowth(runLine, readSizes(process.argv.slice(2)))
process.exit(0)

async function runLine(count: number): Promise<unknown> {
  const line: (() => void)[] = []
  let served = 0
  const next = (): void => line[served++]?.()
  const waitInLine = async (): Promise<void> => {
    await new Promise<void>((resolve) => line.push(resolve))
    next()
  }
  const waits: Promise<void>[] = []
  for (let index = 0; index < count; index++) waits.push(waitInLine())
  next()
  return Promise.all(waits)
}
