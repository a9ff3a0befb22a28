/** Which stack a stall is told with: the detector alone, whose turns are made by hand. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StallDetector, type StallSubject } from '../../src/executor/stall-detector.ts'
import { CAPTURE_KEY, NO_STACK, type Stall } from '../../src/executor/stall-report.ts'
import type { TaskQueue } from '../../src/executor/task-queue.ts'
import { HEADER_WATCHDOG, WORD_TURN_SEQUENCE } from '../../src/kernel/index.ts'

const OWN_ID = 1
const BUDGET_MS = 20
const LONG_NS = 60e6

/** A detector that nobody watches, the stalls that it tells, and what the watchdog would have its thread call. */
function start() {
  const slot = () => ({ words: new Int32Array(1024), doubles: new Float64Array(512) })
  const [header, control] = [slot(), slot()]
  header.words[HEADER_WATCHDOG] = OWN_ID
  const reports: { run(): void }[] = []
  const queue = { name: 'serving', push: (report: { run(): void }) => reports.push(report) }
  const stalls: Stall[] = []
  const subject = { name: 'a', defaultQueue: queue, kernel: { name: 'uring' } }
  const reactor = {
    control,
    host: { id: OWN_ID },
    doorbell: {},
    kernel: { directory: { slot: () => header } },
  }
  const onStall = (stall: Stall) => stalls.push(stall)
  const options = { budgetMs: BUDGET_MS, onStall, reactor }
  const detector = new StallDetector(
    subject as unknown as StallSubject,
    options as unknown as ConstructorParameters<typeof StallDetector>[1],
  )
  const capture = (sequence: number): string | null => {
    control.words[WORD_TURN_SEQUENCE] = sequence
    return Reflect.get(globalThis, Symbol.for(CAPTURE_KEY))(sequence)
  }
  const end = (sequence: number): Stall => {
    detector.endTurn(queue as unknown as TaskQueue, sequence, LONG_NS)
    for (const report of reports.splice(0)) report.run()
    return stalls.pop()!
  }
  return { detector, capture, end }
}

test('a turn keeps its stack though the next is stuck before it is reported', () => {
  const { detector, capture, end } = start()
  try {
    const first = (function firstTurn() {
      return capture(3)
    })()
    const second = (function secondTurn() {
      return capture(5)
    })()

    const stacks = [end(3), end(5), end(7)].map(({ stack }) => stack)

    assert.match(first!, /at firstTurn/)
    assert.match(second!, /at secondTurn/)
    assert.deepEqual(stacks, [first, second, NO_STACK])
  } finally {
    detector.stop()
  }
})
