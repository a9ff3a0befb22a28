import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { currentOrNull, type Executor } from '../../src/executor/index.ts'
import * as percore from '../../src/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { PoolPlacement } from '../../src/topology/index.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
// Modules are known by where they really are.
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'percore-copy-')))
for (const path of ['dist/src', 'prebuilds', 'package.json']) {
  cpSync(join(root, path), join(folder, path), { recursive: true })
}
/** The package once more, as where two versions of it are installed. */
const other: typeof percore = await import(pathToFileURL(join(folder, 'dist/src/index.js')).href)

after(async () => {
  await currentOrNull()?.close()
  rmSync(folder, { recursive: true })
})

test('attachExecutor() throws ERR_EXECUTOR_EXISTS if another copy of the package has the thread', async () => {
  const first = other.attachExecutor({ name: 'theirs' })

  assert.throws(() => percore.executor(), {
    code: 'ERR_EXECUTOR_EXISTS',
    message: new RegExp(
      `has 'theirs' of another copy of percore, in ${folder}/, and this copy is in ${root}`,
    ),
  })

  await first.close()
})

test('a copy of the package takes the thread over once the other has closed', async () => {
  const first = other.attachExecutor({ name: 'theirs' })
  await first.close()

  await sleep(1)

  assert.throws(() => other.attachExecutor(), { code: 'ERR_EXECUTOR_EXISTS' })
  await percore.executor().close()
})

test('what another copy of the package has made is refused as such', async () => {
  const first = other.attachExecutor()
  const queue = first.createTaskQueue('theirs')
  await first.close()
  const { CpuSet } = await import(pathToFileURL(join(folder, 'dist/src/topology/index.js')).href)

  assert.throws(() => percore.spawnInto(queue, () => {}), {
    name: 'TypeError',
    message: /queue must be a TaskQueue: .* another TaskQueue, that of a second copy of percore$/,
  })
  assert.throws(
    () => PoolPlacement.maxSpread(1, CpuSet.parse('0')),
    /another CpuSet, that of a second copy/,
  )
  class TaskQueue {}
  assert.throws(
    () => percore.spawnInto(new TaskQueue() as never, () => {}),
    /current value is an instance of TaskQueue$/,
  )
  assert.throws(
    () => percore.spawnInto({} as never, () => {}),
    /current value is an instance of Object$/,
  )

  await currentOrNull()?.close()
})

test('an executor of another copy of the package counts as ended, and is not taken for one of ours', async () => {
  const theirs = other.attachExecutor()
  const theirId = (theirs as Executor).doorbell.address
  await theirs.close()
  const ours = percore.executor()

  assert.equal(ours.doorbell.isEnded(ours.doorbell.address), false)
  assert.equal(ours.doorbell.isEnded(theirId), true)
  // The lowest free slot in both: only that they begin elsewhere tells them apart.
  assert.notEqual(theirId, ours.doorbell.address)
  await ours.close()
})

test('simulate() runs though another copy of the package has the thread', async () => {
  const first = other.attachExecutor({ name: 'theirs' })

  const result = await simulate(1, async () => {
    await sleep(3_600_000)
    return 'an hour'
  })

  assert.equal(result, 'an hour')
  await first.close()
})
