/** The services of tests, and what their programs are given. */
import { executor, spawn } from '../../src/index.ts'
import { currentCall, defineService, type Service, type Shard } from '../../src/runtime/index.ts'
import { sleep } from '../../src/time/index.ts'

export interface Wanted {
  readonly do: string
  readonly words: Int32Array
}

/** Places in {@link Wanted.words}. */
export const WORD_BEGUN = 0
export const WORD_ABORTED = 1
export const WORD_MADE = 2
export const WORD_ENDED = 3
/** From here on: which shard did something, in their order. */
export const WORD_ORDER = 8
export const WORD_COUNT = 64

export class Probe {
  readonly id: number
  readonly base: number
  readonly #shard: Shard<Wanted>
  #sum = 0
  #running = 0
  #runningMax = 0

  constructor(shard: Shard, base: number) {
    this.#shard = shard as Shard<Wanted>
    this.id = shard.id
    this.base = base
  }

  add(value: number): number {
    this.#sum += value
    return this.#sum + this.base
  }

  sum(): number {
    return this.#sum
  }

  whoAmI(): [id: number, from: number | undefined, name: string] {
    return [this.id, currentCall()?.from, executor().name]
  }

  echo<T>(value: T): T {
    return value
  }

  lengthOf(bytes: Uint8Array): number {
    return bytes.length
  }

  change(list: number[]): number[] {
    list.push(0)
    return list
  }

  fail(): never {
    throw Object.assign(new RangeError('not today'), { code: 'ERR_MINE', cause: new Error('why') })
  }

  failWith(value: unknown): never {
    throw value
  }

  answerFunction(): unknown {
    return () => {}
  }

  nothing(): void {}

  /** Until it is cancelled. */
  async waitForEver(): Promise<void> {
    const { words } = this.#shard.argument
    currentCall()!.signal.addEventListener('abort', () => Atomics.add(words, WORD_ABORTED, 1))
    Atomics.add(words, WORD_BEGUN, 1)
    await sleep(1e9)
  }

  /** Until so many have begun, which is said. */
  async busy(): Promise<void> {
    this.#running++
    this.#runningMax = Math.max(this.#runningMax, this.#running)
    await sleep(1)
    this.#running--
  }

  runningMax(): number {
    return this.#runningMax
  }

  /** Goes along the shards of a path, each of which calls the next one. */
  async relay(path: readonly number[]): Promise<number> {
    const [next, ...rest] = path
    if (next === undefined) return 0
    // Spawned, since the calls of such a task have been led to by this call all the same.
    return 1 + (await spawn(() => probe.of(this.#shard)!.on(next).relay(rest)))
  }

  /** A call that leads to itself. */
  async circle(): Promise<void> {
    await probe
      .of(this.#shard)!
      .on((this.id + 1) % this.#shard.count)
      .circle()
  }

  exit(): void {
    process.exit(7)
  }
}

export const probe: Service<Probe, number> = defineService(
  'probe',
  (shard, base: number) => new Probe(shard, base),
  { outstandingMax: 4 },
)

/** Instances that write down when they are made and disposed of. */
interface Ordered extends AsyncDisposable {
  slow(): Promise<void>
}

export const ordered: Service<Ordered> = defineService('ordered', async (shard: Shard) => {
  const { words, do: wanted } = (shard as Shard<Wanted>).argument
  note(words, WORD_MADE, shard.id)
  await sleep(1)
  if (wanted === 'startFails' && shard.id === 1) throw new RangeError('not on this one')
  return {
    slow: () => sleep(5),
    async [Symbol.asyncDispose]() {
      await sleep(1)
      note(words, WORD_ENDED, 10 + shard.id)
      if (wanted === 'stopFails' && shard.id === 1) throw new RangeError('cannot end')
    },
  }
})

export const uneven: Service<object> = defineService('uneven', (shard) =>
  shard.id === 0 ? { one() {} } : { two() {} },
)

export const noObject: Service<object> = defineService('noObject', () => 3 as unknown as object)

/** One that needs another. */
interface Needing {
  nothing(): void
}

/** Two that start each other. */
export const egg: Service<Needing> = defineService('egg', async (shard) => {
  await hen.start(shard)
  return { nothing() {} }
})
export const hen: Service<Needing> = defineService('hen', async (shard) => {
  await egg.start(shard)
  return { nothing() {} }
})

interface Dependent {
  ask(to: number): Promise<number>
}

export const dependent: Service<Dependent> = defineService('dependent', async (shard) => {
  const service = await probe.start(shard, 5)
  return { ask: (to: number) => service.on(to).add(1) }
})

function note(words: Int32Array, count: number, value: number): void {
  Atomics.add(words, count, 1)
  for (let index = WORD_ORDER; index < words.length; index++) {
    if (Atomics.compareExchange(words, index, 0, value + 1) === 0) return
  }
}
