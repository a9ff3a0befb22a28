/** A ring that takes nothing for a moment: neither the loop nor who asks for the time stops over it. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { createTaskQueue, executor, needPreempt, spawnInto } from '../../src/executor/index.ts'
import { sleep } from '../../src/time/index.ts'
import { refuseEntries } from '../ring/refuse.ts'

test('events of Node arrive although the poll for them was refused', async (t) => {
  const { main } = executor().reactor
  await sleep(1)
  const wasRefused = refuseEntries(t, main, 0, 3)

  await readFile(import.meta.filename)

  assert.ok(wasRefused())
  await readFile(import.meta.filename)
})

test('needPreempt() says when a slice is over although its tick was refused', async (t) => {
  const urgent = createTaskQueue('urgent', { latency: { maxMs: 1 } })
  await spawnInto(urgent, () => sleep(0.1))
  const { latency } = executor().reactor
  await spawnInto(urgent, () => {
    while (!needPreempt());
  })
  const isRefused = refuseEntries(t, latency, 0, Number.POSITIVE_INFINITY)

  await spawnInto(urgent, () => {
    while (!needPreempt());
  })

  assert.ok(isRefused())
})
