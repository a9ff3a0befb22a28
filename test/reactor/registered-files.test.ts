import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setImmediate as nextRound } from 'node:timers/promises'
import { executor } from '../../src/executor/index.ts'
import { BufferedFile } from '../../src/io/index.ts'
import {
  ENOMEM,
  IORING_REGISTER_FILES_UPDATE,
  probeKernel,
  UringKernel,
} from '../../src/kernel/index.ts'
import { RegisteredFiles } from '../../src/reactor/index.ts'
import type { Ring } from '../../src/ring/index.ts'
import { needsRegisteredFiles } from '../needs.ts'
import { reactorOf } from '../reactor-of.ts'

/** A named pipe that is read by hand. */
interface Pipe {
  readonly path: string
  readonly readFd: number
}

function makePipe(t: TestContext): Pipe {
  const folder = mkdtempSync(join(tmpdir(), 'percore-registered-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'pipe')
  assert.equal(spawnSync('mkfifo', [path]).status, 0)
  const readFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  t.after(() => closeSync(readFd))
  return { path, readFd }
}

/** The end of the pipe; EAGAIN while somebody has it open for writing. */
function assertEnd({ readFd }: Pipe): void {
  assert.equal(readSync(readFd, new Uint8Array(1)), 0)
}

test('a file that is closed is closed, also where another could not be registered', async (t) => {
  const pipe = makePipe(t)
  const { kernel, latency } = reactorOf(executor())
  const writer = await BufferedFile.open(pipe.path, { write: true })

  const register = kernel.register.bind(kernel)
  const refusal = t.mock.method(kernel, 'register', (...args: Parameters<typeof register>) => {
    const isRefused = args[0] === latency.memory.fd && args[1] === IORING_REGISTER_FILES_UPDATE
    return isRefused ? -ENOMEM : register(...args)
  })
  const other = await BufferedFile.open(import.meta.filename)
  refusal.mock.restore()
  await writer.close()

  assertEnd(pipe)
  await other.close()
})

test('a file that is closed is closed, also while a read of another waits', async (t) => {
  const pipe = makePipe(t)
  const quiet = makePipe(t)
  const writer = await BufferedFile.open(pipe.path, { write: true })
  const quietWriter = await BufferedFile.open(quiet.path, { write: true })
  const reader = await BufferedFile.open(quiet.path)
  const reading = reader.read(0, 1)
  await nextRound()

  await writer.close()

  try {
    assertEnd(pipe)
  } finally {
    await quietWriter.close()
  }
  assert.equal((await reading).length, 0)
  await reader.close()
})

test('files are registered where a closed one is let go of', needsRegisteredFiles(), async () => {
  const file = await BufferedFile.open(import.meta.filename)

  const { capacity, usedCount } = executor().io.files.stats()

  assert.ok(capacity > 0)
  assert.ok(usedCount > 0)
  await file.close()
})

test('no file is registered on a kernel that tells nothing of its removal', (t) => {
  const kernel = new UringKernel()
  const { register } = kernel
  // The update is taken, but what it takes out stays: as with Linux up to 6.12.
  t.mock.method(kernel, 'register', (...args: Parameters<typeof register>) =>
    args[1] === IORING_REGISTER_FILES_UPDATE ? 1 : register.apply(kernel, args),
  )
  const ring = kernel.setupRing({ entryCount: 4, completionCount: 8, flags: 0 })
  assert.ok(typeof ring !== 'number')
  const rings = [{ memory: ring, index: 0 } as Ring]
  const files = new RegisteredFiles(kernel, rings, probeKernel(kernel))

  const index = files.add(0)

  assert.equal(index, -1)
  assert.deepEqual(files.stats(), { capacity: 0, usedCount: 0, refusedCount: 1 })
  kernel.closeRing(ring)
})
