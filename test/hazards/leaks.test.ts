/**
 * Whatever is cancelled, collected or closed when: at the end nothing is left.
 *
 * Proof that these can fail: without IORING_UNREGISTER_RING_FDS the seventeenth executor of a thread
 * gets no registered index; a slot that is not freed by a terminal completion stays in flight.
 */

import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate as nextRound } from 'node:timers/promises'
import { Prng } from '../../src/base/index.ts'
import { attachExecutor, executor, spawn, yieldNow } from '../../src/index.ts'
import { BufferedFile } from '../../src/io/index.ts'
import { expire, nop, poll } from '../executor/operations.ts'
import { assertNoLeak, holdings, makeFolder, mountFolder, needsRoot } from '../io/support.ts'
import { limited } from '../limits.ts'
import { runChild, success } from './child.ts'
import { churnConnections, churnFiles } from './churn.ts'
import { createPipe } from './pipe.ts'

const LIMIT = limited(30_000)

function fdCount(): number {
  return readdirSync('/proc/self/fd').length
}

test('10,000 operations that are cancelled at any moment leave nothing', LIMIT, async (t) => {
  const pipes = Array.from({ length: 4 }, () => createPipe())
  t.after(() => {
    for (const pipe of pipes) pipe.close()
  })
  await nop()
  const before = holdings()
  const seed = Date.now()
  const prng = new Prng(seed)

  const outcomes = new Map<string, number>()
  const count = (outcome: string): void =>
    void outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  const under = async (): Promise<void> => {
    const controller = new AbortController()
    const { signal } = controller
    const kinds = [
      () => nop({ signal }),
      () => expire(prng.int(0, 100_000), { signal }),
      () => expire(3600e9, { signal }),
      () => poll(prng.pick(pipes).readFd, { signal }),
      () => poll(prng.pick(pipes).readFd, { signal, timeoutMs: prng.int(0, 2) }),
    ]
    const operation = prng.pick(kinds)()
    const watched = operation.then(
      () => count('done'),
      (error: { code?: string; name: string }) =>
        count(error.code === undefined ? error.name : 'coded'),
    )
    // Before it is submitted, in the kernel's hands, as it completes, or after.
    for (let i = prng.int(0, 3); i > 0; i--) await yieldNow()
    if (prng.chance(0.3)) await nop()
    controller.abort()
    await watched
  }
  const worker = async (): Promise<void> => {
    for (let i = 0; i < 100; i++) await under()
  }
  await Promise.all(Array.from({ length: 100 }, worker))
  // The completions of the last cancellations themselves.
  while (executor().io.main.unsubmittedCount > 0) await nop()
  await nop()

  assertNoLeak(before)
  assert.equal(
    [...outcomes.values()].reduce((sum, value) => sum + value),
    10_000,
    `seed ${seed}`,
  )
  assert.equal(executor().io.main.staleCount, 0)
})

test('tasks that are cancelled with operations under way leave nothing', LIMIT, async (t) => {
  const pipe = createPipe()
  t.after(() => pipe.close())
  await nop()
  const before = holdings()

  for (let round = 0; round < 20; round++) {
    const tasks = Array.from({ length: 50 }, (_, i) =>
      spawn(async () => {
        await Promise.all([poll(pipe.readFd), expire(3600e9), i % 2 === 0 ? nop() : yieldNow()])
      }),
    )
    for (let i = round % 4; i > 0; i--) await yieldNow()
    await Promise.all(tasks.map((task) => task.cancel()))
    assert.ok(tasks.every((task) => task.state === 'cancelled'))
  }

  await nop()
  assertNoLeak(before)
})

for (const [what, churn] of [
  ['opens files', churnFiles],
  ['makes connections', churnConnections],
] as const) {
  for (const end of ['close', 'leave'] as const) {
    test(
      `an executor that is to ${end} while it ${what} leaves no descriptor`,
      LIMIT,
      async (t) => {
        const folder = makeFolder(t)
        await executor().close()
        const before = fdCount()

        for (let i = 0; i < 50; i++) {
          const current = attachExecutor({ ringDepth: 64, ioMemoryBytes: 1 << 20 })
          await churn(folder)
          for (let rounds = i; rounds > 0; rounds--) await nextRound()
          await current[end]()
        }

        assert.equal(fdCount(), before)
      },
    )
  }
}

test(
  'closes that the kernel puts off are not cancelled with an executor',
  needsRoot(),
  async (t) => {
    // An overlay's files can be flushed, which closing them may have to wait for.
    const layers = mountFolder(t, ['-t', 'tmpfs', 'tmpfs'])
    for (const layer of ['lower', 'upper', 'work']) mkdirSync(join(layers, layer))
    const [lower, upper, work] = ['lower', 'upper', 'work'].map((name) => join(layers, name))
    const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`
    const path = join(mountFolder(t, ['-t', 'overlay', '-o', options, 'overlay']), 'file')
    writeFileSync(path, '')
    await executor().close()
    const before = fdCount()

    for (let round = 0; round < 40; round++) {
      const current = attachExecutor({ ringDepth: 64, ioMemoryBytes: 1 << 20 })
      const files = await Promise.all(Array.from({ length: 60 }, () => BufferedFile.open(path)))
      for (const file of files) void file.close()
      current.io.main.submit()
      current.leave()
    }

    assert.equal(fdCount(), before)
  },
)

test('garbage collection does not disturb what is in flight', LIMIT, async () => {
  const program = `
    const pipe = operations.poll(0)
    const buffers = []
    for (let round = 0; round < 30; round++) {
      const all = []
      for (let i = 0; i < 200; i++) {
        all.push(operations.nop(), operations.expire(1e5 * (i % 10)).catch((error) => error.code))
      }
      globalThis.gc()
      buffers.push(new ArrayBuffer(1e6))
      if (buffers.length > 5) buffers.length = 0
      percore.spawn(() => globalThis.gc())
      const outcomes = await Promise.all(all)
      if (!outcomes.every((outcome, i) => outcome === (i % 2 === 0 ? 0 : 'ETIME'))) throw outcomes
    }
    const { inFlightCount, ioMemory } = percore.executor().stats()
    console.log(inFlightCount, ioMemory.leasedCount)
    process.exit(0)
  `

  assert.deepEqual(await runChild(program, { flags: ['--expose-gc'] }), success('1 0\n'))
})

test('an executor that is attached and closed fifty times leaves nothing', LIMIT, async () => {
  const program = `
    import fs from 'node:fs'
    const fdCount = () => fs.readdirSync('/proc/self/fd').length
    let before
    let registered = 0
    for (let i = 0; i < 50; i++) {
      const executor = percore.attachExecutor({ ringDepth: 64, ioMemoryBytes: 65536 })
      operations.poll(0).catch(() => {})
      await percore.spawnInto(percore.createTaskQueue('urgent', { latency: { maxMs: 2 } }), () => operations.nop())
      percore.needPreempt()
      if (executor.io.main.entry.enterFlags !== 0) registered++
      await Promise.all([executor.close(), executor.close()])
      globalThis.gc()
      if (i === 0) before = fdCount()
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
    globalThis.gc()
    await new Promise((resolve) => setTimeout(resolve, 20))
    const rings = fs.readFileSync('/proc/self/maps', 'utf8').split('[io_uring]').length - 1
    console.log(fdCount() - before, registered, rings < 20)
  `

  assert.deepEqual(await runChild(program, { flags: ['--expose-gc'] }), success('0 50 true\n'))
})
