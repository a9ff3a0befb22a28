/**
 * Numbers from one shard to another, by a ring in shared memory and the doorbells of both: the wake-up protocol as what is
 * built on it uses it, and what it becomes with a step wrong.
 */
import {
  createSpscRing,
  SpscNumberConsumer,
  SpscNumberProducer,
} from '../../src/channels/shared/index.ts'
import { createDeferred, type Deferred, executor } from '../../src/executor/index.ts'
import { random, spawn, yieldNow } from '../../src/index.ts'
import type { DoorbellAddress, Inbox } from '../../src/reactor/index.ts'
import { sleep } from '../../src/time/index.ts'

/** What is wrong with a pipe, if anything. */
export type PipeMutant =
  /** It gives way between its look into the ring and its wait: who rings in between wakes nobody. */
  | 'waits without another look'
  /** It rings before it has published. */
  | 'rings too early'

/** An end's place on its shard: where it is rung, and who waits there. */
class PipeEnd implements Inbox {
  readonly executor = executor()
  readonly address: DoorbellAddress = this.executor.doorbell.address
  readonly number: number = this.executor.doorbell.add(this)
  #waiting: Deferred<void> | null = null

  collect(): void {
    const waiting = this.#waiting
    this.#waiting = null
    // Whoever waits goes on with the microtasks of this turn, which will do for a test.
    waiting?.resolve(undefined)
  }

  ring(other: PipeEnd): void {
    this.executor.doorbell.ring(other.address, other.number)
  }

  async wait(): Promise<void> {
    const waiting = createDeferred<void>()
    this.#waiting = waiting
    const { liveness } = this.executor
    liveness.hold()
    await waiting.promise
    liveness.letGo()
  }
}

/** A pipe that two shards know of, each of which takes an end. */
export class NumberPipe {
  readonly #ring = createSpscRing({ kind: 'numbers', capacity: 2 })
  readonly #mutant: PipeMutant | null
  #sending: PipeEnd | null = null
  #receiving: PipeEnd | null = null

  constructor(mutant: PipeMutant | null = null) {
    this.#mutant = mutant
  }

  /** To be called on the shard that sends; resolves once the other end is taken as well. */
  async openSender(): Promise<(value: number) => Promise<void>> {
    const own = new PipeEnd()
    this.#sending = own
    while (this.#receiving === null) await sleep(0.1)
    const receiving = this.#receiving
    const producer = SpscNumberProducer.attach(this.#ring)
    return async (value) => {
      if (this.#mutant === 'rings too early') {
        own.ring(receiving)
        await yieldNow()
      }
      while (!producer.tryPush(value)) {
        if (!producer.requestRoom()) await own.wait()
      }
      if (this.#mutant === 'rings too early') return
      own.ring(receiving)
    }
  }

  /** To be called on the shard that receives. */
  async openReceiver(): Promise<() => Promise<number>> {
    const own = new PipeEnd()
    this.#receiving = own
    while (this.#sending === null) await sleep(0.1)
    const sending = this.#sending
    const consumer = SpscNumberConsumer.attach(this.#ring)
    return async () => {
      for (;;) {
        const value = consumer.tryPop()
        if (value !== undefined) {
          if (consumer.takeRoomRequest()) own.ring(sending)
          return value
        }
        if (this.#mutant === 'waits without another look') await yieldNow()
        await own.wait()
      }
    }
  }
}

const NUMBER_COUNT = 12

/** What each of a ring of shards does: numbers go around it, and each shard adds one to them. */
export function passNumbers(
  count: number,
  mutant: PipeMutant | null,
): (shard: { readonly id: number }) => Promise<number> {
  const pipes = Array.from({ length: count }, () => new NumberPipe(mutant))
  return async ({ id }) => {
    const [receive, send] = await Promise.all([
      pipes[id]!.openReceiver(),
      pipes[(id + 1) % count]!.openSender(),
    ])
    let sum = 0
    const sending = spawn(async () => {
      for (let value = 0; id === 0 && value < NUMBER_COUNT; value++) await send(value * 100)
    })
    for (let index = 0; index < NUMBER_COUNT; index++) {
      const value = await receive()
      sum += value
      // Some of them take a while, so that others sleep or pile up.
      if (random() < 0.2) await sleep(0.05)
      if (id !== 0) await send(value + 1)
    }
    await sending
    return sum
  }
}

/** What {@link passNumbers} comes to on each shard: whatever the seed. */
export function expectedSums(count: number): number[] {
  const base = (100 * NUMBER_COUNT * (NUMBER_COUNT - 1)) / 2
  return Array.from({ length: count }, (_, id) => base + NUMBER_COUNT * ((id + count - 1) % count))
}
