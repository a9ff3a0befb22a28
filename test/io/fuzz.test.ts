/**
 * Random operations against `node:fs` as the oracle: the same bytes, sizes, names and error codes.
 *
 * `PERCORE_FUZZ_OPERATIONS=100000` does as many, in runs of 200; `PERCORE_SEED` does one run again.
 */

import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Prng } from '../../src/base/index.ts'
import { removeTree } from '../../src/io/index.ts'
import { seeds, simulate } from '../../src/testing/index.ts'
import { drawOperations, Fuzz, type FuzzOperation } from './fuzz.ts'
import { assertNoLeak, holdings, makeFolder } from './support.ts'

const RUN_OPERATIONS = 200
const COUNT: number = Number(process.env.PERCORE_FUZZ_OPERATIONS ?? 2000)
/** How many shorter runs are tried once one has failed. */
const SHRINKS_MAX = 300

/** Where both folders of a run are. */
interface Place {
  readonly own: string
  readonly oracle: string
  readonly fresh: () => Promise<void>
}

async function attempt(place: Place, operations: readonly FuzzOperation[]): Promise<unknown> {
  await place.fresh()
  try {
    await new Fuzz(place.own, place.oracle).run(operations)
    return null
  } catch (error) {
    return error
  }
}

/** Leaves out what can be left out of a run that fails, and throws the failure of what remains. */
async function runShrinking(place: Place, seed: number): Promise<void> {
  let operations = drawOperations(new Prng(seed), RUN_OPERATIONS)
  let failure = await attempt(place, operations)
  if (failure === null) return
  let left = SHRINKS_MAX
  for (let size = operations.length >> 1; size > 0 && left > 0; size >>= 1) {
    for (let at = 0; at < operations.length && left > 0; left--) {
      const shorter = [...operations.slice(0, at), ...operations.slice(at + size)]
      const again = await attempt(place, shorter)
      if (again === null) at += size
      else [operations, failure] = [shorter, again]
    }
  }
  const lines = operations.map((operation) => JSON.stringify(operation)).join('\n  ')
  throw new Error(`Seed ${seed} fails, shrunk to:\n  ${lines}`, { cause: failure })
}

test('random operations do what node:fs does [uring]', async (t) => {
  const folder = makeFolder(t)
  const place = {
    own: join(folder, 'own'),
    oracle: join(folder, 'oracle'),
    fresh: async () => refresh([join(folder, 'own'), join(folder, 'oracle')]),
  }
  await runShrinking(place, 1)
  const before = holdings()

  for (const seed of seeds(Math.ceil(COUNT / RUN_OPERATIONS))) await runShrinking(place, seed)

  assertNoLeak(before)
})

test('random operations do what node:fs does [sim]', async (t) => {
  const folder = makeFolder(t)
  for (const seed of seeds(Math.min(10, Math.ceil(COUNT / RUN_OPERATIONS)))) {
    await simulate(seed, async ({ kernel }) => {
      const place = {
        own: '/own',
        oracle: join(folder, 'oracle'),
        fresh: async () => {
          if (kernel.files.list('/own') !== null) await removeTree('/own')
          kernel.files.makeDirectory('/own')
          refresh([join(folder, 'oracle')])
        },
      }
      await runShrinking(place, seed)
    })
  }
})

function refresh(folders: readonly string[]): void {
  for (const path of folders) {
    rmSync(path, { recursive: true, force: true })
    mkdirSync(path)
  }
}
