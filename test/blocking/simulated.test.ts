/** Functions in other threads, simulated: on one thread, in virtual time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BlockingPool, spawnBlocking } from '../../src/blocking/index.ts'
import { executor, spawn } from '../../src/index.ts'
import { seeds, simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { PoolPlacement } from '../../src/topology/index.ts'

const URL_OF_WORK = new URL('./work.js', import.meta.url)

/** The order and the times in which calls beside other work end. */
async function record(): Promise<string[]> {
  const log: string[] = []
  const note = (what: string): void => {
    log.push(`${what} at ${Math.round(executor().nowNs())}`)
  }
  const pool = new BlockingPool({ placement: PoolPlacement.unbound(2) })
  const calls = [1, 2, 3, 4, 5].map(async (value) => {
    note(`${value} is ${await pool.call(URL_OF_WORK.href, 'add', [value, value])}`)
  })
  const sleeps = [0.1, 0.5, 1].map(async (ms) => {
    await sleep(ms)
    note(`slept ${ms}`)
  })
  await Promise.all([...calls, ...sleeps])
  await pool.close()
  note(`${pool.stats().threadCount} threads`)
  return log
}

test('calls run in an order and at times that the seed decides alone', async () => {
  const runs: string[][] = []
  for (const seed of [1, 1, 2]) runs.push(await simulate(seed, record))

  assert.equal(runs[0]!.length, 9)
  assert.deepEqual(runs[0], runs[1])
  assert.notDeepEqual(runs[0], runs[2])
})

test('a module that nobody has loaded yet takes no virtual time, and does not count as stuck', async () => {
  const source = 'export const answer = () => 42; await new Promise((done) => setTimeout(done, 50))'
  const url = `data:text/javascript,${encodeURIComponent(source)}`

  const [value, passedMs] = await simulate(3, async () => {
    const beganNs = executor().nowNs()
    const found = await spawnBlocking(url, 'answer')
    return [found, (executor().nowNs() - beganNs) / 1e6]
  })

  assert.equal(value, 42)
  assert.ok((passedMs as number) < 10, `${passedMs} ms`)
})

test('failures, missing functions and modules are as on real threads', async () => {
  await simulate(1, async () => {
    await assert.rejects(spawnBlocking(URL_OF_WORK, 'failInside'), RangeError)
    await assert.rejects(spawnBlocking(URL_OF_WORK, 'nothing'), TypeError)
    await assert.rejects(spawnBlocking(URL_OF_WORK, 'giveFunction'), TypeError)
    await assert.rejects(spawnBlocking(URL_OF_WORK, 'add', [() => {}]), TypeError)
    await assert.rejects(spawnBlocking('file:///there/is/none.js', 'add'), {
      code: 'ERR_MODULE_NOT_FOUND',
    })
  })
})

test('calls are withdrawn, refused and ended at any moment, and the pool stays whole', async () => {
  for (const seed of seeds(50)) {
    await simulate(seed, async () => {
      const pool = new BlockingPool({ placement: PoolPlacement.unbound(2), queuedMax: 3 })
      const outcomes = new Map<string, number>()
      const count = (what: string): void => {
        outcomes.set(what, (outcomes.get(what) ?? 0) + 1)
      }
      const calls = Array.from({ length: 20 }, async (_, i) => {
        await sleep(Math.random() * 2)
        const bound = i % 3 === 0 ? { timeoutMs: Math.random() * 3, terminate: i % 2 === 0 } : {}
        const options = { ...bound, refuseWhenFull: i % 4 === 1 }
        await pool.call(URL_OF_WORK, 'add', [i, 1], options).then(
          (value) => {
            assert.equal(value, i + 1)
            count('done')
          },
          ({ code }) => count(code),
        )
      })
      const task = spawn(() => pool.call(URL_OF_WORK, 'add', [1, 1]))
      await sleep(Math.random())
      await task.cancel()
      await Promise.all(calls)
      const stats = pool.stats()
      await pool.close()

      assert.equal(stats.queuedCount, 0)
      assert.equal(pool.stats().threadCount, 0)
      const known = ['done', 'ERR_TASK_TIMEOUT', 'ERR_WOULD_BLOCK']
      for (const what of outcomes.keys()) assert.ok(known.includes(what), what)
    })
  }
})

test('a function uses the clock and what else is of the simulation', async () => {
  const source = 'export const now = () => Date.now()'
  const url = `data:text/javascript,${encodeURIComponent(source)}`

  const [inFunction, inProgram] = await simulate(1, async () => [
    (await spawnBlocking(url, 'now')) as number,
    Date.now(),
  ])

  assert.ok(Math.abs(inFunction! - inProgram!) < 1000)
})

test('a program that ends leaves calls behind', async () => {
  await simulate(1, async () => {
    void spawnBlocking(URL_OF_WORK, 'add', [1, 1]).catch(() => {})
  })
})
