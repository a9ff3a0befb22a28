import { test } from 'node:test'
import { seedCount } from '../limits.ts'
import { runKeptChunks } from './kept-chunks.ts'

test('chunks that are kept, collected or piped on stay as they were under every seed', async () => {
  const count = seedCount(30)
  for (let seed = 0; seed < count; seed++) await runKeptChunks(seed)
})
