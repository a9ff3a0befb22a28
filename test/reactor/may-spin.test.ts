/** Whether there is a CPU for a thread to spin on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/index.ts'
import {
  DOUBLE_SPIN_NS,
  HEADER_AWAKE_COUNT,
  HEADER_CPU_COUNT,
  HEADER_CPU_QUOTA,
} from '../../src/kernel/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { reactorOf } from '../reactor-of.ts'

/** Executors that do not sleep, CPUs, the quota of the control group. */
const CASES: readonly (readonly [awake: number, cpus: number, quota: number, maySpin: boolean])[] =
  [
    [4, 4, 0, true],
    [5, 4, 0, false],
    [2, 4, 2, true],
    [3, 4, 2, false],
    [5, 4, 8, false],
    [100, 0, 0, true],
  ]

for (const [awake, cpus, quota, maySpin] of CASES) {
  const name = `maySpin is ${maySpin} with ${awake} awake on ${cpus} CPUs and a quota of ${quota}`
  test(name, async () => {
    await simulate(1, async () => {
      const { control, kernel } = reactorOf(executor())
      control.doubles[DOUBLE_SPIN_NS] = 1000
      const { words } = kernel.directory.slot(0)
      words[HEADER_AWAKE_COUNT] = awake
      words[HEADER_CPU_COUNT] = cpus
      words[HEADER_CPU_QUOTA] = quota

      const found = reactorOf(executor()).maySpin
      control.doubles[DOUBLE_SPIN_NS] = 0

      assert.equal(found, maySpin)
    })
  })
}
