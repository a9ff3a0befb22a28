import { test } from 'node:test'
import { runKeptChunks } from './kept-chunks.ts'

test('chunks that are kept, collected or piped on stay as they were under every seed', async () => {
  for (let seed = 0; seed < 30; seed++) await runKeptChunks(seed)
})
