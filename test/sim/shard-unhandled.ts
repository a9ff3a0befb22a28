/** A program of two shards, one of which has a failure that nobody handles. */
import { spawn } from '../../src/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { letGo, resultOf, startShard } from './shard-threads.ts'

const said = await simulate(1, async () => {
  const shards = [0, 1].map((id) =>
    startShard(async () => {
      if (id === 0) spawn(() => Promise.reject(Object.assign(new Error('no'), { code: 'EX' })))
      await sleep(1000)
      return 'ended'
    }, id),
  )
  await letGo(shards)
  const [failed, other] = await Promise.all(shards.map(({ ended }) => ended))
  const { message, code } = failed!.failure!.error as Error & { code: string }
  return `${failed!.exitCode} ${message} ${code}, ${other!.exitCode} ${resultOf(shards[1]!.messages.at(-1))}`
})
console.log(said)
