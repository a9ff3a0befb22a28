/** What a pool decides, and says, without a thread. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  KernelError,
  numbersOfMask,
  RuntimeError,
  recordError,
  reviveError,
} from '../../src/base/index.ts'
import {
  EPERM,
  kernelError,
  MPOL_BIND,
  MPOL_DEFAULT,
  MPOL_PREFERRED,
} from '../../src/kernel/index.ts'
import { decideRestart } from '../../src/runtime/restart-policy.ts'
import { type EndKnown, explainEnd } from '../../src/runtime/shard-exit.ts'
import { type BindingPort, createBound } from '../../src/topology/index.ts'

test('decideRestart() doubles the wait with each failure, up to the greatest, then gives up', () => {
  const policy = { limit: 4, withinMs: 1000, backoffMs: 10, backoffMsMax: 50 }
  const delays: (number | null)[] = []
  let failures: readonly number[] = []
  for (let nowMs = 0; nowMs < 50; nowMs += 10) {
    const decision = decideRestart(policy, failures, nowMs)
    delays.push(decision.delayMs)
    failures = decision.failures
  }

  assert.deepEqual(delays, [10, 20, 40, 50, null])
})

test('decideRestart() forgets failures that are long ago', () => {
  const policy = { limit: 1, withinMs: 1000, backoffMs: 10, backoffMsMax: 50 }

  assert.deepEqual(decideRestart(policy, [0], 1000), { delayMs: 10, failures: [1000] })
  assert.equal(decideRestart(policy, [1], 1000).delayMs, null)
  assert.equal(decideRestart(null, [], 0).delayMs, null)
})

const returned = { kind: 'returned', value: 1 } as const
const threw = { kind: 'threw', error: recordError('x'), isStop: false, atNs: 0 } as const
const gone = { kind: 'threw', error: recordError('x'), isStop: true, atNs: 0 } as const
const oom = { error: Object.assign(new Error(), { code: 'ERR_WORKER_OUT_OF_MEMORY' }) }
const other = { error: new Error('other') }
// Exit code, failure, outcome, terminated, stopping.
const table: [number, EndKnown['end']['failure'], EndKnown['outcome'], boolean, boolean, string][] =
  [
    [0, null, returned, false, false, 'returned'],
    [0, null, returned, false, true, 'returned'],
    [0, null, returned, true, false, 'returned'],
    [1, null, returned, true, true, 'terminated'],
    [3, null, returned, false, false, 'exit'],
    [1, other, returned, false, false, 'threw'],
    [1, null, threw, false, false, 'threw'],
    [0, null, gone, false, true, 'stopped'],
    [0, null, null, false, true, 'stopped'],
    [0, null, null, false, false, 'exit'],
    [1, null, null, true, false, 'terminated'],
    [1, oom, null, false, false, 'outOfMemory'],
    [1, oom, null, true, false, 'outOfMemory'],
    [1, other, null, false, true, 'threw'],
  ]

for (const [exitCode, failure, outcome, isTerminated, isStopping, reason] of table) {
  const what = [exitCode, failure && 'error', outcome?.kind, isTerminated, isStopping].join(' ')
  test(`explainEnd() says ${reason} of ${what}`, () => {
    const known = { end: { exitCode, failure }, outcome, isTerminated, isStopping }

    assert.equal(explainEnd(known, { shard: 0, generation: 1 }).reason, reason)
  })
}

test('an error crosses to another thread with all that it says', () => {
  const cause = kernelError(-EPERM, { syscall: 'openat', path: '/x' })
  const error = new AggregateError([new TypeError('inner')], 'outer', { cause })
  const revive = (thrown: unknown): unknown => reviveError(structuredClone(recordError(thrown)))

  const revived = revive(error)

  assert.ok(revived instanceof AggregateError)
  assert.ok(revived.errors[0] instanceof TypeError)
  assert.ok(revived.cause instanceof KernelError)
  assert.deepEqual(
    [(revived.cause as KernelError).code, (revived.cause as KernelError).path],
    ['EPERM', '/x'],
  )
  assert.equal(revived.stack, error.stack)
  assert.ok(revive(new RuntimeError('ERR_GATE_CLOSED', 'x')) instanceof RuntimeError)
  assert.equal(
    revive(() => 5),
    '() => 5',
  )
  assert.equal(revive(null), null)
})

test('recordError() ends where an error is its own cause, or has a hostile field', () => {
  const own = new Error('own')
  own.cause = own
  const hostile = {
    toString: () => {
      throw new Error()
    },
    f() {},
  }

  assert.equal((recordError(own) as { message: string }).message, 'own')
  assert.deepEqual(recordError(hostile), { kind: 'value', value: '[object Object]' })
})

/** A thread on processors 0 to 3, that may or may not be bound. */
class Thread implements BindingPort {
  cpus = [0, 1, 2, 3]
  policy = MPOL_DEFAULT
  nodes: number[] = []
  refuses = false

  getAffinity(_: number, mask: Uint8Array): number {
    mask.fill(0)
    for (const cpu of this.cpus) mask[cpu >> 3]! |= 1 << (cpu & 7)
    return 8
  }

  setAffinity(_: number, mask: Uint8Array): number {
    if (this.refuses) return -EPERM
    this.cpus = numbersOfMask(mask)
    return 0
  }

  getMemoryPolicy(nodes: Uint8Array): number {
    nodes.fill(0)
    return this.refuses ? -EPERM : this.policy
  }

  setMemoryPolicy(mode: number, nodes: Uint8Array): number {
    this.policy = mode
    this.nodes = numbersOfMask(nodes)
    return 0
  }
}

test('createBound() binds while it creates, and puts back what was, also when that throws', () => {
  const thread = new Thread()
  const seen = createBound(thread, { cpus: [2], memoryNodes: [1] }, () => [
    thread.cpus,
    thread.policy,
    thread.nodes,
  ])
  assert.deepEqual(seen, { result: [[2], MPOL_PREFERRED, [1]], refusals: [] })
  assert.deepEqual([thread.cpus, thread.policy], [[0, 1, 2, 3], MPOL_DEFAULT])

  const two = createBound(thread, { cpus: [2], memoryNodes: [0, 1] }, () => thread.policy)
  assert.equal(two.result, MPOL_BIND)
  assert.throws(() =>
    createBound(thread, { cpus: [1], memoryNodes: [] }, () => {
      throw new Error()
    }),
  )
  assert.deepEqual(thread.cpus, [0, 1, 2, 3])
})

test('createBound() creates all the same where binding is refused, and says so', () => {
  const thread = new Thread()
  thread.refuses = true

  const { result, refusals } = createBound(thread, { cpus: [2], memoryNodes: [1] }, () => 'made')

  assert.equal(result, 'made')
  assert.deepEqual(
    refusals.map((error) => (error as KernelError).syscall),
    ['sched_setaffinity', 'get_mempolicy'],
  )
})
