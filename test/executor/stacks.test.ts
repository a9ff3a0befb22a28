/** Errors that a turn makes have the frames of who waits: the turn has none of them on its stack. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferedFile } from '../../src/io/index.ts'
import { kernelError } from '../../src/kernel/index.ts'
import { TcpStream } from '../../src/net/index.ts'
import { Semaphore } from '../../src/sync/index.ts'
import { sleep, timeout } from '../../src/time/index.ts'

async function stackOf(work: () => Promise<unknown>): Promise<string> {
  async function theCaller(): Promise<unknown> {
    return await work()
  }
  try {
    await theCaller()
  } catch (error) {
    return (error as Error).stack ?? ''
  }
  throw new Error('it did not fail')
}

const FAILURES: Record<string, () => Promise<unknown>> = {
  'open() of no file': () => BufferedFile.open('/nowhere/at/all'),
  'connect() to nobody': () => TcpStream.connect({ host: '127.0.0.1', port: 1 }),
  'connect() to nobody by name': () => TcpStream.connect({ host: 'localhost', port: 1 }),
  'acquire() in time': () => new Semaphore(0).acquire(1, { timeoutMs: 1 }),
  'timeout()': () => timeout(1, (signal) => sleep(60_000, { signal })),
}

for (const [name, fail] of Object.entries(FAILURES)) {
  test(`the stack of ${name} names who waits`, async () => {
    const stack = await stackOf(fail)

    assert.match(stack, /theCaller/)
    assert.match(stack, /stacks\.test/)
  })
}

test('a stack has its message', async () => {
  const stack = await stackOf(() => BufferedFile.open('/nowhere/at/all'))

  assert.match(stack, /ENOENT: no such file or directory, open '\/nowhere\/at\/all'/)
  assert.match(kernelError(-2, { syscall: 'open' }).message, /ENOENT/)
})

test('the reason of a signal keeps its own stack', async () => {
  const reason = new Error('enough')
  const { stack } = reason

  await assert.rejects(sleep(60_000, { signal: AbortSignal.abort(reason) }), reason)

  assert.equal(reason.stack, stack)
})
