/** A program of four shards with a wake-up that some seeds lose, each of which names the command that replays it. */
import { seeds, simulate } from '../../src/testing/index.ts'
import { passNumbers } from './number-pipe.ts'

try {
  for (const seed of seeds(500)) {
    const main = passNumbers(4, 'waits without another look')
    await simulate(seed, ({ shard }) => main(shard), { shards: 4 })
  }
  console.log('no seed finds it')
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
