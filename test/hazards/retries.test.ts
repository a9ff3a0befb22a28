/** Loops that try again whatever comes, where nothing can be had any more: they hold nobody up, nor go on for ever. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate as nextRound } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { spawn } from '../../src/index.ts'
import { sleep } from '../../src/time/index.ts'
import { farLimitMs } from '../limits.ts'
import { runChild, success } from './child.ts'

test('close() ends tasks that try again for ever, whatever they wait for', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'percore-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const program = fileURLToPath(new URL('./retries.js', import.meta.url))

  const { stdout, stderr, signal } = spawnSync(process.execPath, [program, folder], {
    encoding: 'utf8',
    timeout: farLimitMs(30_000),
  })

  assert.deepEqual({ stdout, stderr, signal }, { stdout: '[]\n', stderr: '', signal: null })
})

test('code outside of tasks that tries again after close() lets the loop of Node go on', async () => {
  const result = await runChild(`
    import { setImmediate as nextRound } from 'node:timers/promises'
    const interval = new time.Interval(1e9)
    void (async () => {
      for (;;) try { await interval.next() } catch {}
    })()
    await time.sleep(1)
    await percore.executor().close()
    for (let round = 0; round < 100; round++) await nextRound()
    console.log('goes on')
    process.exit()`)

  assert.deepEqual(result, success('goes on\n'))
})

test('a cancelled task that tries again lets others run', async () => {
  let isStopping = false
  let tryCount = 0
  const task = spawn(async () => {
    while (!isStopping) {
      tryCount++
      try {
        await sleep(3_600_000)
      } catch {}
    }
  })
  await sleep(0)

  const cancelled = task.cancel()
  while (tryCount < 10) await nextRound()
  isStopping = true

  await cancelled
  assert.equal(task.state, 'fulfilled')
})
