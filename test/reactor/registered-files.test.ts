import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import { BufferedFile } from '../../src/io/index.ts'
import { ENOMEM, IORING_REGISTER_FILES_UPDATE } from '../../src/kernel/index.ts'

test('a file that is closed is closed, also where another could not be registered', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'percore-registered-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'pipe')
  assert.equal(spawnSync('mkfifo', [path]).status, 0)
  const { kernel, latency } = executor().reactor
  const readFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  t.after(() => closeSync(readFd))
  const writer = await BufferedFile.open(path, { write: true })

  const register = kernel.register.bind(kernel)
  const refusal = t.mock.method(kernel, 'register', (...args: Parameters<typeof register>) => {
    const isRefused = args[0] === latency.memory.fd && args[1] === IORING_REGISTER_FILES_UPDATE
    return isRefused ? -ENOMEM : register(...args)
  })
  const other = await BufferedFile.open(import.meta.filename)
  refusal.mock.restore()
  await writer.close()

  // The end of the pipe; EAGAIN while somebody has it open for writing.
  assert.equal(readSync(readFd, new Uint8Array(1)), 0)
  await other.close()
})
