/** The log of examples/ on a simulated disk that loses power at any point, with torn and lost writes and lost names. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Log } from '../../examples/log/log.ts'
import { Prng } from '../../src/base/index.ts'
import { yieldNow } from '../../src/index.ts'
import { type FileSystem, type Simulation, simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { limited, seedCount } from '../limits.ts'

const LIMIT = limited(120_000)
const SEEDS = seedCount(40)
const OPTIONS = { folder: '/tmp', segmentBytes: 1 << 15, batchBytes: 1 << 14 }
const LIVES = 4
/** With their headers they fill sectors. */
const RECORD_BYTES = 496
/** With that before them, and the segment's header, they begin where sectors do. */
const FIRST_BYTES = 480

/** What the writers know, over all lives of the log. */
class Knowledge {
  readonly acknowledged = new Map<number, string>()
  readonly sent = new Set<string>()

  /** Fails unless a log has all of the one, and nothing that is not of the other. */
  async check(log: Log): Promise<void> {
    const found = new Map<number, string>()
    let offset = 0
    for (;;) {
      const record = await log.read(offset)
      if (record === null) break
      found.set(offset, Buffer.from(record.data).toString())
      offset = record.nextOffset
    }
    for (const [offset, text] of this.acknowledged) {
      assert.equal(found.get(offset), text, 'what was acknowledged is there')
    }
    for (const text of found.values()) {
      assert.ok(this.sent.has(text), 'what is there was sent, whole')
    }
    // What a recovery has found stays, or readers would see it go.
    for (const [offset, text] of found) this.acknowledged.set(offset, text)
    // What it has not found is gone: it must not come back behind what is written next.
    this.sent.clear()
    for (const text of found.values()) this.sent.add(text)
  }
}

/** One life: recovers, checks, and appends until the power is lost. */
async function live(
  { kernel, seed }: Simulation,
  knowledge: Knowledge,
  life: number,
): Promise<FileSystem> {
  const prng = new Prng(seed * 31 + life)
  // Records of one length, over all lives, begin where others did that were lost.
  const isRegular = seed % 8 < LIVES
  // It may go in the midst of a recovery, of a segment's beginning or of a write.
  const lifeUs = prng.int(0, prng.pick([300, 3000, 30_000]))
  let turnsLeft = prng.int(0, 10)
  let disk: FileSystem | null = null
  const power = (async () => {
    await sleep(lifeUs / 1000)
    while (turnsLeft-- > 0) await yieldNow()
    disk = kernel.crash()
  })()
  const log = await Log.open(OPTIONS)
  if (disk === null) await knowledge.check(log)
  const writers = Array.from({ length: prng.int(1, 6) }, async (_, writer) => {
    for (let index = 0; disk === null; index++) {
      const name = `${life}:${writer}:${index}:`
      const regularBytes = `${life}${writer}${index}` === '000' ? FIRST_BYTES : RECORD_BYTES
      const lengthBytes = isRegular ? regularBytes : prng.pick([0, 10, 490, 500, 3000])
      const text = name.padEnd(lengthBytes, 'p')
      knowledge.sent.add(text)
      const offset = await log.append(Buffer.from(text))
      // What is told after that nobody has heard.
      if (disk !== null) return
      knowledge.acknowledged.set(offset, text)
    }
  })
  await Promise.all([power, ...writers])
  await log.close()
  return disk!
}

test(
  'a crash at any point loses nothing that was acknowledged, and leaves nothing torn',
  LIMIT,
  async () => {
    let recordCount = 0
    for (let seed = 1; seed <= SEEDS; seed++) {
      const knowledge = new Knowledge()
      let disk: FileSystem | undefined
      for (let life = 0; life < LIVES; life++) {
        const prng = new Prng(seed * 1009 + life)
        const faults = {
          shortWrite: prng.pick([0, 0.2]),
          shortRead: prng.pick([0, 0.2]),
          delay: prng.pick([0, 0.05]),
          reorder: prng.pick([0, 0.3]),
        }
        const options = { seed: seed * LIVES + life, faults, ...(disk !== undefined && { disk }) }
        disk = await simulate(options, (simulation) => live(simulation, knowledge, life))
      }
      await simulate({ seed, disk: disk! }, async () => {
        await using log = await Log.open(OPTIONS)
        await knowledge.check(log)
      })
      recordCount += knowledge.acknowledged.size
    }
    assert.ok(recordCount > 10 * SEEDS, `lives get to write: ${recordCount} records`)
  },
)

test(
  'a disk that fails a write ends the log, and what was acknowledged is found again',
  LIMIT,
  async () => {
    let failedCount = 0
    for (let seed = 1; seed <= SEEDS; seed++) {
      const knowledge = new Knowledge()
      const errors = { EIO: 0.02, ENOSPC: 0.02 }
      const begun = await simulate({ seed }, async ({ kernel }) => {
        await using log = await Log.open(OPTIONS)
        knowledge.sent.add('the first')
        knowledge.acknowledged.set(await log.append(Buffer.from('the first')), 'the first')
        return kernel.crash()
      })
      const faulty = { seed, disk: begun, faults: { errors } }
      const disk = await simulate(faulty, async ({ kernel }) => {
        const log = await Log.open(OPTIONS).catch(() => null)
        if (log === null) return kernel.crash()
        try {
          for (let index = 0; index < 60; index++) {
            const text = `${index}:${'q'.repeat(index * 20)}`
            knowledge.sent.add(text)
            knowledge.acknowledged.set(await log.append(Buffer.from(text)), text)
          }
        } catch {
          failedCount++
          // It takes nothing more, as nobody knows what is on the disk.
          await assert.rejects(log.append(Buffer.from('more')))
        }
        await log.close().catch(() => {})
        return kernel.crash()
      })
      await simulate({ seed, disk }, async () => {
        await using log = await Log.open(OPTIONS)
        await knowledge.check(log)
      })
    }
    assert.ok(failedCount > SEEDS / 4)
  },
)
