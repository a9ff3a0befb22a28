import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HEADER_WATCHDOG } from '../../src/kernel/index.ts'
import { farLimitMs, limited } from '../limits.ts'
import { runChild, success } from './child.ts'

/** How often detection is switched on: the descriptors of a thread that stays are a few only. */
const TOGGLE_COUNT = 8

test(
  'detectStalls() on and off leaves neither watchdog nor descriptor',
  limited(60_000),
  async () => {
    const program = `
    import { readdirSync } from 'node:fs'
    const fdCount = () => readdirSync('/proc/self/fd').length
    const executor = percore.executor()
    const header = executor.io.kernel.directory.slot(0).words
    const until = async (isSo) => {
      for (let i = 0; i < ${farLimitMs(4_000) / 20} && !isSo(); i++) await time.sleep(20)
      return isSo()
    }
    const stall = async () => {
      let isSeen = false
      executor.detectStalls({ budgetMs: 5, onStall: ({ stack }) => { isSeen ||= stack.includes(' at ') } })
      const end = performance.now() + ${farLimitMs(4_000)}
      // By the watchdog, that is, which has loaded then.
      while (!isSeen && performance.now() < end) {
        const turnEnd = performance.now() + 20
        await percore.spawn(() => { while (performance.now() < turnEnd); })
        await time.sleep(1)
      }
    }
    // Each starts a watchdog of its own, as the one before has ended.
    const toggle = async (isLoaded) => {
      if (isLoaded) await stall()
      else executor.detectStalls({ budgetMs: 5, onStall() {} })
      executor.detectStalls(null)
      if (await until(() => header[${HEADER_WATCHDOG}] === 0)) return
      console.log('a watchdog stays')
      process.exit()
    }
    await toggle(true)
    await time.sleep(100)
    // A thread that was still ending has been counted: its descriptors are fewer than those of all others.
    const before = fdCount()
    for (let i = 0; i < ${TOGGLE_COUNT}; i++) await toggle(i % 2 === 0)
    await until(() => fdCount() <= before)
    console.log(Math.max(0, fdCount() - before))
  `

    assert.deepEqual(await runChild(program), success('0\n'))
  },
)
