import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CompletionChains } from '../../src/executor/completion-chains.ts'
import { createSlot, DOUBLE_DEADLINE_NS } from '../../src/kernel/index.ts'

const START_NS = 1_000_000
const QUICK_NS = 1_000
/** So many rounds at most between two looks at the clock. */
const UNTIMED_MAX = 8

/** A ring in which each operation submits another, a kernel that takes its time, and a clock. */
class Machine {
  readonly control = createSlot()
  readonly runnable = { size: 0 }
  readonly kernel = {
    nowNs: (): number => {
      this.lookCount++
      return this.nowNs
    },
  }
  readonly main = {
    unsubmittedCount: 1,
    submit: (): void => {
      this.nowNs += this.roundCount < this.quickCount ? QUICK_NS : this.roundNs
      this.roundCount++
    },
    reap: (): number => this.completionCount,
  }
  hasUrgentCompletions = false
  nowNs = START_NS
  roundNs = QUICK_NS
  quickCount = 0
  roundCount = 0
  lookCount = 0
  completionCount = 1

  readonly chains = new CompletionChains(this, this.runnable)
}

test('collect() returns the time when it is done', () => {
  const machine = new Machine()

  assert.equal(machine.chains.collect(START_NS), machine.nowNs)
  assert.ok(machine.roundCount >= 500 && machine.roundCount < 500 + UNTIMED_MAX)
  machine.completionCount = 0
  assert.equal(machine.chains.collect(machine.nowNs), machine.nowNs)
})

test('collect() looks at the clock after eight rounds, or fewer that take long', () => {
  const machine = new Machine()
  machine.chains.collect(START_NS)

  assert.ok(machine.lookCount <= 2 + machine.roundCount / UNTIMED_MAX)
  // It sees late that rounds take long, but only if others before them in the chain did not.
  machine.roundNs = 1_000_000
  machine.roundCount = 0
  machine.quickCount = 100
  machine.chains.collect(machine.nowNs)
  assert.ok(machine.roundCount > 100 && machine.roundCount <= 100 + UNTIMED_MAX)
  machine.roundCount = 0
  machine.quickCount = 0
  machine.chains.collect(machine.nowNs)
  assert.equal(machine.roundCount, 1)
})

test('collect() ends after half a millisecond', () => {
  const machine = new Machine()
  machine.roundNs = 100_000

  machine.chains.collect(START_NS)

  assert.equal(machine.roundCount, 5)
})

test('collect() ends when a timer is due, or an urgent operation has completed', () => {
  const machine = new Machine()
  machine.control.doubles[DOUBLE_DEADLINE_NS] = START_NS + 20_500

  machine.chains.collect(START_NS)
  assert.ok(machine.roundCount > 20 && machine.roundCount <= 20 + UNTIMED_MAX)
  machine.roundCount = 0
  machine.control.doubles[DOUBLE_DEADLINE_NS] = Number.POSITIVE_INFINITY
  machine.hasUrgentCompletions = true
  machine.chains.collect(START_NS)
  assert.equal(machine.roundCount, 1)
})

test('collect() goes on trying where one round takes as long as a turn may', () => {
  const machine = new Machine()
  machine.roundNs = 600_000

  for (let count = 0; count < 100; count++) machine.chains.collect(machine.nowNs)

  assert.equal(machine.roundCount, 100)
})

test('collect() does nothing while a queue is runnable, or nothing is to be submitted', () => {
  const machine = new Machine()
  machine.runnable.size = 1

  assert.equal(machine.chains.collect(START_NS), START_NS)
  machine.runnable.size = 0
  machine.main.unsubmittedCount = 0
  assert.equal(machine.chains.collect(START_NS), START_NS)
  assert.equal(machine.roundCount, 0)
})
