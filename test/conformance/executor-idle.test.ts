/** Glommio's behaviours of slices, sleep and spin, which need an executor of their own each. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runChild, success } from '../hazards/child.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(30_000)

test('4: what needs an executor attaches one, and needPreempt() does not', LIMIT, async () => {
  const program = `
    console.log(percore.needPreempt(), await percore.spawn(() => percore.executor().name))
  `

  assert.deepEqual(await runChild(program), success('false unnamed\n'))
})

test('9: with a timer of 100 ms two busy queues have slices of 99 ms and more', LIMIT, async () => {
  const program = `
    const executor = percore.attachExecutor({ preemptTimerMs: 100 })
    // What Node itself still has to do at the start ends a slice, as it should.
    await new Promise((resolve) => setTimeout(resolve, 20))
    const slices = []
    const body = async () => {
      for (let i = 0; i < 3; i++) {
        while (!percore.needPreempt());
        slices.push((executor.nowNs() - executor.io.control.doubles[8]) / 1e6)
        await percore.yieldNow()
      }
    }
    await Promise.all(['a', 'b'].map((name) => percore.spawnInto(percore.createTaskQueue(name), body)))
    // Since the turns began, which the control block has in nanoseconds; the first may be Node's to end.
    const later = slices.slice(2)
    console.log(later.length, later.every((ms) => ms >= 99) || slices)
  `

  assert.deepEqual(await runChild(program), success('4 true\n'))
})

test('9: a slice lasts 10 ms if nothing else is said', LIMIT, async () => {
  const program = `
    const executor = percore.executor()
    let longestMs = 0
    // What Node has to do in between ends a slice early, as it should.
    for (let i = 0; i < 5 && longestMs < 10; i++) {
      await new Promise((resolve) => setTimeout(resolve, 5))
      await percore.spawn(() => {
        while (!percore.needPreempt());
        const sliceNs = executor.nowNs() - executor.io.control.doubles[8]
        longestMs = Math.max(longestMs, sliceNs / 1e6)
      })
    }
    console.log(longestMs >= 10 || longestMs)
  `

  assert.deepEqual(await runChild(program), success('true\n'))
})

test('11: a sleep beside a queue with a latency class burns no processor', LIMIT, async () => {
  const program = `
    percore.createTaskQueue('urgent', { latency: { maxMs: 10 } })
    await percore.spawn(() => operations.nop())
    const executor = percore.executor()
    let best = Infinity
    for (let i = 0; i < 4 && best > 3; i++) {
      const before = executor.stats()
      await time.sleep(300)
      const { parkCount, spunNs } = executor.stats()
      // Counted, since a machine that is emulated needs milliseconds of processor for a single turn.
      best = Math.min(best, parkCount - before.parkCount + (spunNs - before.spunNs))
    }
    console.log(best <= 3 || best)
  `

  assert.deepEqual(await runChild(program), success('true\n'))
})

test('12: spinBeforeParkUs burns that much in a sleep, the default nothing', LIMIT, async () => {
  const program = (spinUs: number): string => `
    const executor = percore.attachExecutor({ spinBeforeParkUs: ${spinUs} })
    await operations.nop()
    let spunMs = 0
    let parkedMs = 0
    let cpuMs = 0
    // Where others use the processor, too, a sleep may be over before the loop gets to it.
    for (let i = 0; i < 10 && (spunMs < 90 || parkedMs < 50 || cpuMs < 10); i++) {
      const before = executor.stats()
      const cpu = process.cpuUsage()
      await time.sleep(200)
      cpuMs = Math.max(cpuMs, process.cpuUsage(cpu).user / 1000)
      const after = executor.stats()
      spunMs = Math.max(spunMs, (after.spunNs - before.spunNs) / 1e6)
      parkedMs = Math.max(parkedMs, (after.parkedNs - before.parkedNs) / 1e6)
    }
    console.log(spunMs >= 90, parkedMs >= 50, ${spinUs} === 0 || cpuMs >= 10)
  `

  assert.deepEqual(await runChild(program(100_000)), success('true true true\n'))
  assert.deepEqual(await runChild(program(0)), success('false true true\n'))
})

test('13: run time counts turns, neither sleep nor spin', LIMIT, async () => {
  const program = `
    const executor = percore.attachExecutor({ spinBeforeParkUs: 50_000 })
    const runtimeMs = () => executor.stats().runtimeNs / 1e6
    const atFirst = runtimeMs()
    await percore.spawn(async () => {
      const end = performance.now() + 200
      while (performance.now() < end);
    })
    await percore.yieldNow()
    const afterWork = runtimeMs()
    // A turn takes longer where others have the processor; never does it take as long as the sleep each time.
    let leastMs = Infinity
    for (let i = 0; i < 5 && leastMs >= 50; i++) {
      const before = runtimeMs()
      await time.sleep(150)
      await percore.yieldNow()
      leastMs = Math.min(leastMs, runtimeMs() - before)
    }
    console.log(afterWork - atFirst >= 199, leastMs < 50)
  `

  assert.deepEqual(await runChild(program), success('true true\n'))
})

test(
  'D33: a thread whose slices are over before their first turn does not park',
  LIMIT,
  async () => {
    const program = `
    const executor = percore.attachExecutor({ preemptTimerMs: 1e-6 })
    const queues = [
      executor.defaultQueue,
      percore.createTaskQueue('background', { shares: 10 }),
      percore.createTaskQueue('urgent', { latency: { maxMs: 1 } }),
    ]
    let overCount = 0
    const body = async () => {
      for (let i = 0; i < 1000; i++) {
        // The tick that ends a slice is armed by asking; the slice is over by the time that its turn begins.
        if (percore.needPreempt()) overCount++
        await percore.yieldNow()
      }
    }
    const before = executor.stats().parkCount
    await Promise.all(queues.map((queue) => percore.spawnInto(queue, body)))
    console.log(overCount > 0, executor.stats().parkCount - before)
  `

    assert.deepEqual(await runChild(program), success('true 0\n'))
  },
)
