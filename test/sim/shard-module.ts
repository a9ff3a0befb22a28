import type { Shard } from '../../src/runtime/index.ts'
import { nowMs, sleep } from '../../src/time/index.ts'

export default async function run(shard: Shard<number>): Promise<[number, number]> {
  await sleep(1)
  return [shard.argument + 1, nowMs()]
}
