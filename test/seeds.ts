/**
 * Simulates a program that uses everything, and one that keeps what streams give, with many seeds, until one fails.
 *
 *     node dist/test/seeds.js --seeds 1000 --from 0
 *
 * Each seed has faults of its own. A failure is printed with the command that replays it;
 * `PERCORE_SEED=<seed>` runs just that seed, with `--trace` every completion of it. With `--real` what keeps
 * chunks runs on the machine's kernel, where a seed decides on sizes and pauses alone.
 */
import { parseArgs } from 'node:util'
import { keepChunks, runKeptChunks } from './sim/kept-chunks.ts'
import { runSeed } from './sim/program.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '0' },
    trace: { type: 'boolean', default: false },
    real: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
})

const chosen = process.env.PERCORE_SEED
const from = Number(chosen ?? values.from)
const count = chosen === undefined ? Number(values.seeds) : 1
const startNs = process.hrtime.bigint()

for (let seed = from; seed < from + count; seed++) {
  try {
    const trace = values.trace ? console.log : undefined
    const summaries = values.real
      ? [await keepChunks(seed)]
      : [await runSeed(seed, trace), await runKeptChunks(seed, trace)]
    if (values.verbose) console.log(`seed ${seed}: ${summaries.join(' ')}`)
  } catch (error) {
    console.error(error)
    console.error(`seed ${seed} failed; replay: PERCORE_SEED=${seed} node dist/test/seeds.js`)
    process.exit(1)
  }
}

const seconds = Number(process.hrtime.bigint() - startNs) / 1e9
console.log(`${count} seeds from ${from}: all passed in ${seconds.toFixed(1)} s`)
