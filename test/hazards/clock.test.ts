/**
 * Timers go by the time that it is, not by the time that was cached before a long turn.
 *
 * Proof that these can fail: without uv_update_time() in the loop hook timers of Node that are due
 * wait for the next that is not.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { executor, spawn } from '../../src/index.ts'
import { sleep } from '../../src/time/index.ts'
import { attempt } from '../attempts.ts'
import { nop } from '../executor/operations.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(20_000)

/** A turn that takes `ms`, whoever else waits. */
function block(ms: number): void {
  const endNs = executor().nowNs() + ms * 1e6
  while (executor().nowNs() < endNs);
}

/** How long something took, in milliseconds of the monotonic clock. */
async function measureMs(wait: () => Promise<unknown>): Promise<number> {
  const startNs = executor().nowNs()
  await wait()
  return (executor().nowNs() - startNs) / 1e6
}

test('a timer of Node that is set after a long turn is not early', LIMIT, async () => {
  for (let i = 0; i < 3; i++) {
    const elapsedMs = await spawn(async () => {
      await nop()
      block(60)
      return measureMs(() => delay(20))
    })

    // Node's own timers count in whole milliseconds.
    assert.ok(elapsedMs >= 19, `20 ms took ${elapsedMs} ms`)
  }
})

test('a sleep of ours that is begun after a long turn is not early', LIMIT, async () => {
  for (let i = 0; i < 3; i++) {
    const elapsedMs = await spawn(async () => {
      await nop()
      block(60)
      return measureMs(() => sleep(20))
    })

    assert.ok(elapsedMs >= 20, `20 ms took ${elapsedMs} ms`)
  }
})

test('a timer of Node that became due in a long turn runs before a later one', LIMIT, async () => {
  const order: string[] = []
  await nop()
  const timers = [
    delay(30).then(() => order.push('due')),
    delay(30_000, undefined, { ref: false }).then(() => order.push('late')),
  ]

  block(60)
  await timers[0]

  assert.deepEqual(order, ['due'])
})

/** Starts timers of both kinds, whose times lie `stepMs` apart. */
async function orderOf(stepMs: number): Promise<string> {
  const order: string[] = []
  await Promise.all([
    delay(2 * stepMs).then(() => order.push('Node 2')),
    sleep(stepMs).then(() => order.push('ours 1')),
    delay(1).then(() => order.push('Node 0')),
    sleep(3 * stepMs).then(() => order.push('ours 3')),
  ])
  return order.join(' ')
}

test('timers of Node and of ours go off in the order of their times', LIMIT, async () => {
  // A thread that gets no processor for a step finds several due at once, which have no order among
  // them; where one kind is served late, as with a clock that stands still, it is on any scale.
  await attempt(
    (scale) => orderOf(30 * scale),
    (order) => order === 'Node 0 ours 1 Node 2 ours 3',
  )
})
