import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seedCount } from '../limits.ts'
import { runSeed } from './program.ts'

async function traceOf(seed: number): Promise<string[]> {
  const lines: string[] = []
  const summary = await runSeed(seed, (line) => lines.push(line))
  return [...lines, summary]
}

test('simulate() gives equal traces for equal seeds', async () => {
  for (const seed of [1, 2, 3]) {
    const first = await traceOf(seed)
    const second = await traceOf(seed)

    assert.ok(first.length > 50)
    assert.deepEqual(second, first)
  }
})

test('simulate() gives different traces for different seeds', async () => {
  const traces = [await traceOf(10), await traceOf(11), await traceOf(12)]

  assert.equal(new Set(traces.map((lines) => lines.join('\n'))).size, 3)
})

test('a mixed program keeps its promises under every seed', async () => {
  const end = 5000 + seedCount(40)
  for (let seed = 5000; seed < end; seed++) await runSeed(seed)
})
