/** Which module is being loaded, to what runs meanwhile. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDeferred } from '../../src/executor/index.ts'
import { loadingModule, markLoading } from '../../src/runtime/loading.ts'

test('loadingModule() tells each load of its own module alone, though several go on at a time', async () => {
  const first = createDeferred<void>()
  const second = createDeferred<void>()
  const seen: (string | null)[] = []
  const load = async (go: Promise<void>): Promise<void> => {
    seen.push(loadingModule())
    await go
    seen.push(loadingModule())
  }
  const loads = [
    markLoading('a', () => load(first.promise)),
    markLoading('b', () => load(second.promise)),
  ]

  assert.equal(loadingModule(), null)
  first.resolve()
  await loads[0]
  assert.equal(loadingModule(), null)
  second.resolve()
  await loads[1]

  assert.deepEqual(seen, ['a', 'b', 'a', 'b'])
})

test('what a module leaves behind is not its loading any more', async () => {
  let later: Promise<string | null> | undefined
  const over = createDeferred<void>()
  await markLoading('a', async () => {
    later = over.promise.then(() => loadingModule())
  })
  const other = createDeferred<void>()
  const loading = markLoading('b', () => other.promise)

  over.resolve()

  assert.equal(await later, null)
  other.resolve()
  await loading
})
