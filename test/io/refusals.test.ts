/** What is refused before it begins, or after a part of it was done: nothing of it stays. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { getEventListeners } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { executor } from '../../src/index.ts'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { STATX_BYTES } from '../../src/kernel/index.ts'
import { reactorOf } from '../reactor-of.ts'
import {
  assertNoLeak,
  holdings,
  makeFolder,
  mountFolder,
  needsDirect,
  needsRoot,
} from './support.ts'

const direct = needsDirect()

/** Refuses I/O memory to those that `isRefused` picks, until the function that it returns is called. */
function refuseMemory(
  t: TestContext,
  isRefused: (lengthBytes: number, callCount: number) => boolean,
): () => void {
  const { memory } = executor()
  const allocate = memory.allocateOwn.bind(memory)
  let callCount = 0
  const mock = t.mock.method(memory, 'allocateOwn', (lengthBytes: number) => {
    callCount++
    if (isRefused(lengthBytes, callCount)) {
      throw Object.assign(new Error('refused'), { code: 'ERR_OUT_OF_MEMORY' })
    }
    return allocate(lengthBytes)
  })
  return () => mock.mock.restore()
}

test('stat() that gets no memory leaves no listener and no timer', async (t) => {
  await using file = await BufferedFile.create(join(makeFolder(t), 'file'))
  const { signal } = new AbortController()
  const { timers } = reactorOf(executor())
  const before = [timers.size, getEventListeners(signal, 'abort').length]
  const allow = refuseMemory(t, () => true)

  const refused = file.stat({ signal, timeoutMs: 1e6 })

  await assert.rejects(refused, { code: 'ERR_OUT_OF_MEMORY' })
  allow()
  assert.deepEqual([timers.size, getEventListeners(signal, 'abort').length], before)
})

test('an operation refused for its options gives back what it took', direct, async (t) => {
  await using file = await DirectFile.create(join(makeFolder(t), 'file'))
  await using buffered = await BufferedFile.open(file.path, { write: true })
  const before = holdings()
  const options = { signal: AbortSignal.abort() }
  const buffer = file.allocateBuffer(4096)

  const refused = [
    file.stat(options),
    file.size({ timeoutMs: -1 }),
    file.readInto(buffer, 0, options),
    file.read(0, 10, options),
    file.write(buffer, 0, options),
    file.writeBytes(new Uint8Array(10), 0, options),
    buffered.write(buffer, 0, options),
    buffered.write(new Uint8Array(10), 0, options),
    buffered.write(new Uint8Array(600_000), 0, options),
    buffered.write(new Uint8Array(10), 0, { timeoutMs: Number.NaN }),
  ]

  const outcomes = await Promise.allSettled(refused)
  assert.ok(outcomes.every(({ status }) => status === 'rejected'))
  buffer.release()
  assertNoLeak(before)
  // Nobody holds any of it any more.
  await file.truncate(0)
})

test('createNew leaves no file where opening fails later', async (t) => {
  const path = join(makeFolder(t), 'file')
  const before = holdings()
  let askedCount = 0
  const allow = refuseMemory(t, (lengthBytes) => {
    return lengthBytes === STATX_BYTES + 1 && ++askedCount === 1
  })

  const refused = BufferedFile.open(path, { write: true, createNew: true })

  await assert.rejects(refused, { code: 'ERR_OUT_OF_MEMORY' })
  allow()
  assert.equal(existsSync(path), false)
  assertNoLeak(before)
})

test(
  'a new file that can not be removed does not hide why it was refused',
  needsRoot(),
  async (t) => {
    const path = join(mountFolder(t, ['-t', 'ramfs', 'ramfs']), 'file')
    const allow = refuseMemory(t, (_, callCount) => callCount > 1)

    const refused = DirectFile.open(path, { write: true, createNew: true })

    await assert.rejects(refused, { code: 'ERR_UNSUPPORTED' })
    allow()
  },
)

test('a directory is refused as one, with and without direct I/O', async (t) => {
  const folder = makeFolder(t)
  const before = holdings()

  await assert.rejects(DirectFile.open(folder), { code: 'EISDIR', path: folder })
  await assert.rejects(DirectFile.open(folder, { fallback: 'buffered' }), { code: 'EISDIR' })

  assertNoLeak(before)
})

test('a time limit of one request names what the user asked for', async (t) => {
  const path = join(makeFolder(t), 'pipe')
  assert.equal(spawnSync('mkfifo', [path]).status, 0)
  await using pipe = await BufferedFile.open(path, { read: true, write: true })

  const refused = pipe.read(0, 1, { timeoutMs: 5 })

  await assert.rejects(refused, {
    code: 'ERR_TASK_TIMEOUT',
    message: /^Cannot read a file .* within 5 ms:/,
  })
})
