/** All interleavings of two threads that sleep until the other has sent something, or made room. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type NumberCells,
  type OpenRing,
  type SharedWords,
  SpscNumberConsumer,
  SpscNumberProducer,
} from '../../src/channels/shared/index.ts'
import { type Explored, explore, type World } from '../interleavings.ts'
import { beginSleep, endSleep, openDoorbell, ring, take } from '../reactor/doorbell-world.ts'

const ROOM_WANTED = 6
const HEAD = 64

/** Ends that show all they know, for {@link World.mark}. */
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

type Make<End> = (ring: OpenRing<NumberCells>) => End

interface Shape {
  readonly capacity: number
  readonly messageCount: number
  /** After how many messages the consumer closes, if before the end. */
  readonly closesAfter?: number
  /** Whether the consumer frees cells, and tells of it, only when nothing is left. */
  readonly isLazy?: boolean
  readonly makeProducer?: Make<Producer>
  readonly makeConsumer?: Make<Consumer>
}

function exploreBoth(shape: Shape): Explored {
  const { messageCount, closesAfter = messageCount } = shape
  return explore({
    threads: {
      producer: (world) => produce(world, shape),
      consumer: (world) => consume(world, shape, closesAfter),
    },
    check: ({ producer, consumer }) => {
      const taken = Array.from({ length: closesAfter }, (_, index) => index + 1)
      assert.deepEqual(consumer, taken)
      if (closesAfter === messageCount) assert.equal(producer, messageCount)
      else assert.ok((producer as number) >= closesAfter)
    },
  })
}

/** Returns how many were taken from it. */
function produce(world: World, { capacity, messageCount, makeProducer }: Shape): number {
  const shared = { words: world.words('ring'), cells: world.cells('ring'), capacity }
  const producer = makeProducer?.(shared) ?? new Producer(shared)
  let sent = 0
  while (sent < messageCount) {
    world.mark(sent, producer.locals)
    if (producer.tryPush(sent + 1)) {
      sent++
      wakeIf(world, 'consumer', ring(openDoorbell(world, 'consumer'), 0))
    } else if (producer.isConsumerClosed) {
      return sent
    } else if (!producer.requestRoom()) {
      awaitRing(world, 'producer', [sent, producer.locals])
    }
  }
  producer.close()
  wakeIf(world, 'consumer', ring(openDoorbell(world, 'consumer'), 0))
  return sent
}

function consume(world: World, shape: Shape, closesAfter: number): number[] {
  const shared = {
    words: world.words('ring'),
    cells: world.cells('ring'),
    capacity: shape.capacity,
  }
  const consumer = shape.makeConsumer?.(shared) ?? new Consumer(shared)
  const tellOfRoom = () => {
    if (!consumer.takeRoomRequest()) return
    wakeIf(world, 'producer', ring(openDoorbell(world, 'producer'), 0))
  }
  const taken: number[] = []
  while (true) {
    world.mark(taken, consumer.locals)
    if (consumer.isEnded) break
    const value = shape.isLazy === true ? consumer.take() : consumer.tryPop()
    if (value === undefined) {
      if (shape.isLazy === true) tellOfRoom()
      awaitRing(world, 'consumer', [taken, consumer.locals])
      continue
    }
    taken.push(value)
    if (taken.length === closesAfter && closesAfter < shape.messageCount) {
      consumer.close()
      tellOfRoom()
      break
    }
    if (shape.isLazy !== true) tellOfRoom()
  }
  return taken
}

function wakeIf(world: World, thread: string, isAsked: boolean): void {
  if (isAsked) world.wake(thread)
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
  { capacity: 1, messageCount: 1 },
  { capacity: 1, messageCount: 2 },
  { capacity: 1, messageCount: 3 },
  { capacity: 2, messageCount: 3 },
  { capacity: 1, messageCount: 3, closesAfter: 1 },
  { capacity: 2, messageCount: 4, closesAfter: 1 },
  { capacity: 1, messageCount: 3, isLazy: true },
  { capacity: 2, messageCount: 4, isLazy: true },
  { capacity: 2, messageCount: 4, closesAfter: 1, isLazy: true },
]

for (const shape of SHAPES) {
  const { capacity, messageCount, closesAfter, isLazy = false } = shape
  const how = isLazy ? ', freed late' : ''
  const closing = closesAfter === undefined ? '' : `, the consumer closing after ${closesAfter}`
  test(`requestRoom() leaves nobody asleep, ${messageCount} through ${capacity}${closing}${how}`, () => {
    assert.ok(exploreBoth(shape).endCount > 0)
  })
}

/** Lets the next load overtake the store of one word, as it may overtake one that is a release only. */
function holdingBack(words: SharedWords, held: number): SharedWords {
  let value: number | undefined
  const letGo = <T>(result: T): T => {
    if (value !== undefined) words.store(held, value)
    value = undefined
    return result
  }
  return {
    ...words,
    load: (index) => letGo(words.load(index)),
    store: (index, stored) => {
      if (index === held && value === undefined) value = stored
      else letGo(words.store(index, stored))
    },
  }
}

class NeverLooksAgain extends Producer {
  override requestRoom(): boolean {
    this.words.store(ROOM_WANTED, 1)
    return false
  }
}

class LooksBeforeAsking extends Producer {
  override requestRoom(): boolean {
    if (this.hasRoomNow(1) || this.isConsumerClosed) return true
    this.words.store(ROOM_WANTED, 1)
    return false
  }
}

class ForgetsTheEnd extends Producer {
  override requestRoom(): boolean {
    this.words.store(ROOM_WANTED, 1)
    return this.hasRoomNow(1)
  }
}

const MUTANTS: Record<string, Pick<Shape, 'makeProducer' | 'makeConsumer'>> = {
  'the producer does not look again': { makeProducer: (ring) => new NeverLooksAgain(ring) },
  'the producer looks before it asks': { makeProducer: (ring) => new LooksBeforeAsking(ring) },
  'the producer forgets that the consumer can close': {
    makeProducer: (ring) => new ForgetsTheEnd(ring),
  },
  'the store of the request is a release only': {
    makeProducer: (ring) => new Producer({ ...ring, words: holdingBack(ring.words, ROOM_WANTED) }),
  },
  'the store of the head is a release only': {
    makeConsumer: (ring) => new Consumer({ ...ring, words: holdingBack(ring.words, HEAD) }),
  },
}

for (const [name, mutant] of Object.entries(MUTANTS)) {
  test(`explore() finds what is wrong when ${name}`, () => {
    assert.throws(
      () => {
        for (const shape of SHAPES) exploreBoth({ ...shape, ...mutant })
      },
      { name: 'Violation', message: /^producer.* will wait for ever/ },
    )
  })
}
