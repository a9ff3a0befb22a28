/** A service of drivers, and work that uses it. */
import { currentShard, defineService } from '../../src/runtime/index.ts'

class Counter {
  readonly #name: string
  #count = 0

  constructor(name: string) {
    this.#name = name
  }

  add(): readonly [number, string] {
    return [++this.#count, this.#name]
  }
}

const counters = defineService('counters of drivers', ({ name }) => new Counter(name))

export function whoAmI(): number {
  return currentShard().id
}

/** Counts on the other driver. */
export async function count(): Promise<readonly [number, string]> {
  const shard = currentShard()
  await using service = await counters.start(shard)
  return await service.on(1 - shard.id).add()
}
