import assert from 'node:assert/strict'
import { test } from 'node:test'
import { farLimitMs, limited } from '../limits.ts'
import { runChild, success } from './child.ts'

test('detectStalls() on and off leaves no descriptor', limited(60_000), async () => {
  const program = `
    import { readdirSync } from 'node:fs'
    const fdCount = () => readdirSync('/proc/self/fd').length
    const executor = percore.executor()
    const toggle = async () => {
      executor.detectStalls({ budgetMs: 5, onStall() {} })
      const end = performance.now() + 40
      await percore.spawn(() => { while (performance.now() < end); })
      await time.sleep(30)
      executor.detectStalls(null)
    }
    const settled = async (limit) => {
      for (let i = 0; i < ${farLimitMs(4_000) / 20} && fdCount() > limit; i++) await time.sleep(20)
      return fdCount()
    }
    await toggle()
    await time.sleep(500)
    const before = fdCount()
    for (let i = 0; i < 8; i++) await toggle()
    const after = await settled(before)
    // A watchdog that was still ending has been counted before.
    console.log(Math.max(0, after - before))
  `

  assert.deepEqual(await runChild(program), success('0\n'))
})
