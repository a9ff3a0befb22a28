import type { Shard } from '../../src/runtime/index.ts'

export default function answer(shard: Shard): number {
  return shard.id
}
