/**
 * Ten thousand cancels of files and of sockets (fewer on a slow machine), on the real and the simulated
 * kernel, at moments that a seed decides: no slot, buffer or descriptor stays, and no byte is wrong.
 *
 * Proof that these can fail: a buffer given back with the cancel rather than with the completion holds
 * another's bytes, in simulation; an open that does not close what it was too late to cancel leaves
 * descriptors, on both.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor, yieldNow } from '../../src/index.ts'
import { configureNet, netRingFor } from '../../src/net/memory/net-ring.ts'
import { type SimulationOptions, simulate } from '../../src/testing/index.ts'
import { assertNoLeak, holdings, makeFolder } from '../io/support.ts'
import { limited, repetitionCount, seedCount } from '../limits.ts'
import { reactorOf } from '../reactor-of.ts'
import { cancelFiles } from './cancel-files.ts'
import { cancelSockets, fillBounces } from './cancel-sockets.ts'
import { Cancels } from './cancels.ts'

const COUNT = repetitionCount(10_000, 1000)
const SEEDS = seedCount(10)
const COUNT_PER_SEED = 1000
const SIMULATED_COUNT = SEEDS * COUNT_PER_SEED
const LIMIT = limited(60_000)
const SEED = Number(process.env.PERCORE_TEST_SEED ?? 1)

/** A machine that does all that Linux may do without anything being wrong. */
const MACHINE: Omit<SimulationOptions, 'seed'> = {
  faults: {
    shortRead: 0.1,
    shortWrite: 0.1,
    delay: 0.01,
    reorder: 0.1,
    cqOverflow: 0.05,
    multishotEnd: 0.1,
    lateCancel: 0.3,
    noBuffers: 0.05,
    enterBusy: 0.02,
  },
  executor: { ioMemoryBytes: 2 ** 25 },
}

/** Runs a program, after which all must be as it was. */
async function leavesNothing(program: () => Promise<void>): Promise<void> {
  const reactor = reactorOf(executor())
  const before = holdings()
  await program()
  while (reactor.inFlightCount > before.inFlightCount) await yieldNow()
  assertNoLeak(before)
  assert.equal(reactor.main.staleCount, 0)
}

async function socketsLeaveNothing(program: () => Promise<void>): Promise<void> {
  const net = netRingFor(executor(), executor().defaultQueue)
  fillBounces(net)
  assert.ok(net.hasLargeRoom(), 'the large buffers are there from the start')
  await leavesNothing(program)
  assert.equal(net.userCount, 0)
  assert.equal(net.pool.leasedCount, 0)
}

/** That enough were asked to stop, and that some were done all the same. */
function assertMany(all: readonly Cancels[], count: number): void {
  const askedCount = all.reduce((sum, cancels) => sum + cancels.askedCount, 0)
  const stoppedCount = all.reduce((sum, cancels) => sum + cancels.stoppedCount, 0)
  assert.ok(askedCount >= count, `${askedCount} were asked to stop`)
  assert.ok(stoppedCount > 0 && stoppedCount < askedCount, `${stoppedCount} of them stopped`)
}

test(
  `${COUNT} cancels of files leave nothing and no byte wrong, seed ${SEED}`,
  LIMIT,
  async (t) => {
    const folder = makeFolder(t)
    const cancels = new Cancels(SEED)

    await leavesNothing(() => cancelFiles(folder, cancels, COUNT))

    assertMany([cancels], COUNT)
  },
)

test(
  `${COUNT} cancels of sockets leave nothing and no byte wrong, seed ${SEED}`,
  LIMIT,
  async () => {
    const cancels = new Cancels(SEED)
    // All buffers from the start, so that none are added meanwhile.
    configureNet(executor(), { entryCount: 1024, initialCount: 1024, largeInitialCount: 64 })

    await socketsLeaveNothing(() => cancelSockets(cancels, COUNT))

    assertMany([cancels], COUNT)
  },
)

test(
  `${SIMULATED_COUNT} cancels of simulated files leave nothing and no byte wrong, seed ${SEED}`,
  LIMIT,
  async () => {
    const all: Cancels[] = []
    for (let seed = SEED; seed < SEED + SEEDS; seed++) {
      await simulate({ ...MACHINE, seed, checkBuffers: true }, async (simulation) => {
        const cancels = new Cancels(simulation.seed)
        await leavesNothing(() => cancelFiles('/tmp', cancels, COUNT_PER_SEED))
        all.push(cancels)
      })
    }
    assertMany(all, SIMULATED_COUNT)
  },
)

test(
  `${SIMULATED_COUNT} cancels of simulated sockets leave nothing and no byte wrong, seed ${SEED}`,
  LIMIT,
  async () => {
    const all: Cancels[] = []
    for (let seed = SEED; seed < SEED + SEEDS; seed++) {
      await simulate({ ...MACHINE, seed }, async (simulation) => {
        // Every other machine is short of buffers.
        const entryCount = simulation.seed % 2 === 0 ? 64 : 4
        configureNet(executor(), {
          entryCount,
          initialCount: entryCount,
          bufferBytes: 2048,
          largeInitialCount: 64,
        })
        const cancels = new Cancels(simulation.seed)
        await socketsLeaveNothing(() => cancelSockets(cancels, COUNT_PER_SEED))
        all.push(cancels)
      })
    }
    assertMany(all, SIMULATED_COUNT)
  },
)
