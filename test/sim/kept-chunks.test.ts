import { test } from 'node:test'
import { seedCount } from '../limits.ts'
import { keepChunks, runKeptChunks } from './kept-chunks.ts'

test('chunks that are kept, collected or piped on stay as they were under every seed', async () => {
  const count = seedCount(30)
  for (let seed = 0; seed < count; seed++) await runKeptChunks(seed)
})

test('chunks that are kept, collected or piped on stay as they were on the machine', async () => {
  for (let seed = 0; seed < 10; seed++) await keepChunks(seed)
})
