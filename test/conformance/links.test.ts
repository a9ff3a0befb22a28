/** Row 92: linked entries go to the kernel together, and a broken chain ends them all. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { attachExecutor } from '../../src/index.ts'
import { encodeNop, encodePoll } from '../../src/ring/index.ts'
import { CountingOperation, nop } from '../executor/operations.ts'
import { limited } from '../limits.ts'
import { reactorOf } from '../reactor-of.ts'

const LIMIT = limited(20_000)
const IOSQE_IO_LINK = 1 << 2
const ECANCELED = 125
const EBADF = 9
const attached = attachExecutor({ ringDepth: 8 })
const { defaultQueue } = attached
const reactor = reactorOf(attached)
const { main } = reactor

function link(base: number, isLast: boolean): void {
  main.sqes[base] = main.sqes[base]! | (isLast ? 0 : IOSQE_IO_LINK << 8)
}

test('92: a chain runs in its order', LIMIT, async () => {
  const order: number[] = []
  const chain = Array.from({ length: 4 }, () => new CountingOperation(defaultQueue))
  for (const [i, operation] of chain.entries()) {
    operation.onComplete = () => order.push(i)
    const base = main.begin()
    encodeNop(main.sqes, base)
    link(base, i === chain.length - 1)
    main.commit(operation)
  }

  while (order.length < 4) await nop()

  assert.deepEqual(order, [0, 1, 2, 3])
  assert.ok(chain.every(({ result }) => result === 0))
})

test('92: what is behind a failure is cancelled, and all of it completes', LIMIT, async () => {
  const chain = Array.from({ length: 4 }, () => new CountingOperation(defaultQueue))
  for (const [i, operation] of chain.entries()) {
    const base = main.begin()
    const target = { fd: 1_000_000, registered: false }
    if (i === 1) encodePoll(main.sqes, base, { target, events: 1, multishot: false })
    else encodeNop(main.sqes, base)
    link(base, i === chain.length - 1)
    main.commit(operation)
  }

  while (chain.some(({ completionCount }) => completionCount === 0)) await nop()

  assert.deepEqual(
    chain.map(({ result }) => result),
    [0, -EBADF, -ECANCELED, -ECANCELED],
  )
  assert.equal(reactor.inFlightCount, 0)
})
