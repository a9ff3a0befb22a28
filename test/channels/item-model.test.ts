/** All interleavings of two threads that tell each other only where the other has asked for it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type NumberCells,
  type OpenRing,
  SpscNumberConsumer,
  SpscNumberProducer,
} from '../../src/channels/shared/index.ts'
import { type Explored, explore, type World } from '../interleavings.ts'
import { beginSleep, endSleep, openDoorbell, ring, take } from '../reactor/doorbell-world.ts'

const ITEM_WANTED = 7

class Producer extends SpscNumberProducer {
  get locals(): number[] {
    return [this.tail, this.headSeen]
  }
}

class Consumer extends SpscNumberConsumer {
  get locals(): number[] {
    return [this.head, this.tailSeen, this.released]
  }
}

interface Shape {
  readonly capacity: number
  readonly messageCount: number
  /** How many are staged before they are published, at most. */
  readonly lot: number
  /** Whether the first of a lot, as of a turn, is published at once, whether the consumer waits or not. */
  readonly isEager?: boolean
  readonly makeProducer?: (ring: OpenRing<NumberCells>) => Producer
  readonly makeConsumer?: (ring: OpenRing<NumberCells>) => Consumer
}

function exploreBoth(shape: Shape): Explored {
  return explore({
    threads: {
      producer: (world) => produce(world, shape),
      consumer: (world) => consume(world, shape),
    },
    check: ({ consumer }) => {
      const taken = Array.from({ length: shape.messageCount }, (_, index) => index + 1)
      assert.deepEqual(consumer, taken)
    },
  })
}

function open(world: World, { capacity }: Shape): OpenRing<NumberCells> {
  return { words: world.words('ring'), cells: world.cells('ring'), capacity }
}

function produce(world: World, shape: Shape): null {
  const producer = shape.makeProducer?.(open(world, shape)) ?? new Producer(open(world, shape))
  const tell = () => {
    if (producer.takeItemRequest()) wakeIf(world, 'consumer')
  }
  let staged = 0
  for (let sent = 0; sent < shape.messageCount; ) {
    world.mark(sent, staged, producer.locals)
    if (producer.stage(sent + 1)) {
      sent++
      const isWanted = shape.isEager === true && staged === 0
      if (++staged < shape.lot && !isWanted) continue
      if (isWanted) staged = shape.lot
    }
    const isFull = staged < shape.lot
    staged = 0
    producer.publish()
    tell()
    if (isFull && !producer.requestRoom()) awaitRing(world, 'producer', [sent, producer.locals])
  }
  producer.close()
  tell()
  return null
}

function consume(world: World, shape: Shape): number[] {
  const consumer = shape.makeConsumer?.(open(world, shape)) ?? new Consumer(open(world, shape))
  const taken: number[] = []
  for (;;) {
    world.mark(taken, consumer.locals)
    const value = consumer.tryPop()
    if (value !== undefined) {
      taken.push(value)
      if (consumer.takeRoomRequest()) wakeIf(world, 'producer')
    } else if (consumer.isEnded) {
      return taken
    } else if (!consumer.requestItem()) {
      awaitRing(world, 'consumer', [taken, consumer.locals])
    }
  }
}

function wakeIf(world: World, thread: string): void {
  if (ring(openDoorbell(world, thread), 0)) world.wake(thread)
}

function awaitRing(world: World, thread: string, locals: readonly unknown[]): void {
  const bell = openDoorbell(world, thread)
  for (let isTold = false; ; ) {
    world.mark('waits', locals)
    take(bell, () => {
      isTold = true
    })
    if (isTold) return
    if (beginSleep(bell)) world.park(thread)
    endSleep(bell)
  }
}

const SHAPES: readonly Shape[] = [
  { capacity: 1, messageCount: 1, lot: 1 },
  { capacity: 1, messageCount: 2, lot: 1 },
  { capacity: 2, messageCount: 2, lot: 1 },
  { capacity: 2, messageCount: 2, lot: 2 },
  { capacity: 2, messageCount: 3, lot: 2 },
  { capacity: 2, messageCount: 3, lot: 2, isEager: true },
]

for (const shape of SHAPES) {
  const { capacity, messageCount, lot } = shape
  const how = shape.isEager === true ? `, the first at once` : ''
  test(`requestItem() leaves nobody asleep, ${messageCount} through ${capacity} in lots of ${lot}${how}`, () => {
    assert.ok(exploreBoth(shape).endCount > 0)
  })
}

class NeverLooksAgain extends Consumer {
  override requestItem(): boolean {
    this.words.store(ITEM_WANTED, 1)
    return false
  }
}

class ForgetsTheEnd extends Consumer {
  override requestItem(): boolean {
    this.words.store(ITEM_WANTED, 1)
    return this.hasMore()
  }
}

class TellsBeforeItPublishes extends Producer {
  #isWanted = false

  override publish(): void {
    this.#isWanted = super.takeItemRequest()
    super.publish()
  }

  override takeItemRequest(): boolean {
    return this.#isWanted
  }
}

const MUTANTS: Record<string, Pick<Shape, 'makeProducer' | 'makeConsumer'>> = {
  'the consumer does not look again': { makeConsumer: (ring) => new NeverLooksAgain(ring) },
  'the consumer forgets that the producer can close': {
    makeConsumer: (ring) => new ForgetsTheEnd(ring),
  },
  'the producer looks for a request before it publishes': {
    makeProducer: (ring) => new TellsBeforeItPublishes(ring),
  },
}

for (const [name, mutant] of Object.entries(MUTANTS)) {
  test(`explore() finds what is wrong when ${name}`, () => {
    assert.throws(
      () => {
        for (const shape of SHAPES) exploreBoth({ ...shape, ...mutant })
      },
      { name: 'Violation', message: /will wait for ever/ },
    )
  })
}
