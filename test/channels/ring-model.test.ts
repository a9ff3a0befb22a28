/** All interleavings of the two ends of a ring, and of what they become with a step wrong. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type FrameCells,
  type NumberCells,
  type OpenRing,
  type SharedWords,
  SpscFrameConsumer,
  SpscFrameProducer,
  SpscNumberConsumer,
  SpscNumberProducer,
} from '../../src/channels/shared/index.ts'
import { type Explored, explore, type World } from '../interleavings.ts'

// The header's words, as src/channels/shared/spsc-ring.ts has them.
const PRODUCER_CLOSED = 4
const CONSUMER_CLOSED = 5
const TAIL = 32
const HEAD = 64

/** Where the indexes start: at 0, and where they are about to go around. */
const STARTS = [0, 2 ** 31 - 1]

/** Ends that show what they last saw of each other, so that a model can wait for something else. */
class Producer extends SpscNumberProducer {
  get seen(): number {
    return this.headSeen
  }
}

class Consumer extends SpscNumberConsumer {
  get seen(): number {
    return this.tailSeen
  }
}

interface Ends {
  /** What the producer does; `wait()` returns when it may find more room. */
  readonly produce: (producer: Producer, wait: () => void) => unknown
  /** What the consumer does; `wait()` returns when it may find more, or the end. */
  readonly consume: (consumer: Consumer, wait: () => void) => unknown
  readonly makeProducer?: (ring: OpenRing<NumberCells>) => Producer
  readonly makeConsumer?: (ring: OpenRing<NumberCells>) => Consumer
  readonly check: (outcome: { taken: unknown; sent: unknown }) => void
}

function exploreEnds(capacity: number, start: number, ends: Ends): Explored {
  const makeProducer = ends.makeProducer ?? ((ring) => new Producer(ring))
  const makeConsumer = ends.makeConsumer ?? ((ring) => new Consumer(ring))
  const open = (world: World) => ({
    words: world.words('ring'),
    cells: world.cells('ring'),
    capacity,
  })
  return explore({
    initial: { [`ring.${TAIL}`]: start, [`ring.${HEAD}`]: start },
    threads: {
      producer: (world) => {
        const producer = makeProducer(open(world))
        return ends.produce(producer, () => awaitOther(world, HEAD, producer.seen))
      },
      consumer: (world) => {
        const consumer = makeConsumer(open(world))
        return ends.consume(consumer, () => awaitOther(world, TAIL, consumer.seen))
      },
    },
    check: ({ producer, consumer }) => ends.check({ sent: producer, taken: consumer }),
  })
}

function awaitOther(world: World, index: number, value: number): void {
  const closed = index === HEAD ? CONSUMER_CLOSED : PRODUCER_CLOSED
  world.untilChanged({ name: 'ring', index, value }, { name: 'ring', index: closed, value: 0 })
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1)
}

function pushAll(count: number): Ends['produce'] {
  return (producer, wait) => {
    for (let value = 1; value <= count; ) {
      if (producer.tryPush(value)) value++
      else wait()
    }
  }
}

function popAll(count: number): Ends['consume'] {
  return (consumer, wait) => {
    const taken: number[] = []
    while (taken.length < count) {
      const value = consumer.tryPop()
      if (value === undefined) wait()
      else taken.push(value)
    }
    return taken
  }
}

/** Stages all it can before it publishes, and the end after the last. */
function stageAll(count: number): Ends['produce'] {
  return (producer, wait) => {
    for (let value = 1; value <= count; ) {
      if (producer.stage(value)) {
        value++
      } else {
        producer.publish()
        wait()
      }
    }
    producer.close()
  }
}

function popToEnd(consumer: Consumer, wait: () => void): number[] {
  const taken: number[] = []
  while (!consumer.isEnded) {
    const value = consumer.tryPop()
    if (value === undefined) wait()
    else taken.push(value)
  }
  return taken
}

function takeToEnd(consumer: Consumer, wait: () => void): number[] {
  const taken: number[] = []
  while (!consumer.isEnded) {
    const value = consumer.take()
    if (value === undefined) wait()
    else taken.push(value)
  }
  return taken
}

function popBatches(consumer: Consumer, wait: () => void): number[] {
  const taken: number[] = []
  while (!consumer.isEnded) {
    const target = [0, 0]
    const count = consumer.popInto(target)
    if (count === 0) wait()
    taken.push(...target.slice(0, count))
  }
  return taken
}

const allOf =
  (count: number): Ends['check'] =>
  ({ taken }) =>
    assert.deepEqual(taken, upTo(count))

for (const start of STARTS) {
  for (const capacity of [1, 2]) {
    const where = `with capacity ${capacity} from index ${start}`

    test(`tryPush() and tryPop() keep all in order ${where}`, () => {
      const count = capacity + 2
      const ends = { produce: pushAll(count), consume: popAll(count), check: allOf(count) }

      assert.ok(exploreEnds(capacity, start, ends).endCount > 0)
    })

    test(`pushBatch() and popInto() keep all in order ${where}`, () => {
      const values = upTo(5)
      const ends: Ends = {
        produce: (producer, wait) => {
          for (let from = 0; from < values.length; ) {
            const count = producer.pushBatch(values, from, values.length)
            if (count === 0) wait()
            from += count
          }
          producer.close()
        },
        consume: popBatches,
        check: allOf(5),
      }

      assert.ok(exploreEnds(capacity, start, ends).endCount > 0)
    })

    test(`close() comes after all that was staged ${where}`, () => {
      const ends = { produce: stageAll(3), consume: popToEnd, check: allOf(3) }

      assert.ok(exploreEnds(capacity, start, ends).endCount > 0)
    })

    test(`stage() and take() keep all in order ${where}`, () => {
      const count = capacity + 3
      const ends = { produce: stageAll(count), consume: takeToEnd, check: allOf(count) }

      assert.ok(exploreEnds(capacity, start, ends).endCount > 0)
    })

    test(`tryPush() gives back what comes after the consumer's close() ${where}`, () => {
      const ends: Ends = {
        produce: (producer, wait) => {
          let sent = 0
          while (!producer.isConsumerClosed) {
            if (producer.tryPush(sent + 1)) sent++
            else wait()
          }
          return sent
        },
        consume: (consumer, wait) => {
          let value = consumer.tryPop()
          for (; value === undefined; value = consumer.tryPop()) wait()
          consumer.close()
          return value
        },
        check: ({ sent, taken }) => {
          assert.equal(taken, 1)
          assert.ok((sent as number) >= 1 && (sent as number) <= 1 + capacity)
        },
      }

      assert.ok(exploreEnds(capacity, start, ends).endCount > 0)
    })
  }
}

/** Lets the tests write and read in cells what would be bytes. */
interface FrameWorld {
  readonly ring: OpenRing<FrameCells>
  readonly cells: FrameCells['lengths']
}

function openFrames(world: World, capacity: number): FrameWorld {
  const cells = world.cells('ring')
  const ring = { words: world.words('ring'), cells: { bytes: new Uint8Array(0), lengths: cells } }
  return { ring: { ...ring, capacity }, cells }
}

for (const start of [0, 1, 2, 3, -1]) {
  test(`beginFrame() and nextFrame() keep all in order from cell ${start}`, () => {
    const lengths = [8, 0, 5, 8]
    class Frames extends SpscFrameProducer {
      get seen(): number {
        return this.headSeen
      }
    }
    class Taken extends SpscFrameConsumer {
      get seen(): number {
        return this.tailSeen
      }
    }
    const explored = explore({
      initial: { [`ring.${TAIL}`]: start, [`ring.${HEAD}`]: start },
      threads: {
        producer: (world) => {
          const { ring, cells } = openFrames(world, 4)
          const producer = new Frames(ring)
          for (const [index, length] of lengths.entries()) {
            let offset = producer.beginFrame(8)
            for (; offset === -1; offset = producer.beginFrame(8)) {
              awaitOther(world, HEAD, producer.seen)
            }
            if (length > 0) cells[offset / 4] = index + 100
            producer.commitFrame(length)
            producer.publish()
          }
        },
        consumer: (world) => {
          const { ring, cells } = openFrames(world, 4)
          const consumer = new Taken(ring)
          const taken: (number | undefined)[][] = []
          while (taken.length < lengths.length) {
            const offset = consumer.nextFrame()
            if (offset === -1) {
              awaitOther(world, TAIL, consumer.seen)
              continue
            }
            const length = consumer.frameLength
            taken.push([length, length > 0 ? cells[offset / 4] : undefined])
            consumer.release()
          }
          return taken
        },
      },
      check: ({ consumer }) => {
        const sent = lengths.map((length, index) => [length, length > 0 ? index + 100 : undefined])
        assert.deepEqual(consumer, sent)
      },
    })

    assert.ok(explored.endCount > 0)
  })
}

/** Writes cells only after the store that should have published them. */
function writingLate(ring: OpenRing<NumberCells>): OpenRing<NumberCells> {
  const held: [number, number][] = []
  const store: SharedWords['store'] = (index, value) => {
    ring.words.store(index, value)
    for (const [cell, number] of held.splice(0)) ring.cells[cell] = number
  }
  const cells = new Proxy<NumberCells>(ring.cells, {
    set: (_, cell, value: number) => {
      held.push([Number(cell), value])
      return true
    },
  })
  return { ...ring, cells, words: { ...ring.words, store } }
}

class FreesBeforeReading extends Consumer {
  override tryPop(): number | undefined {
    if (!this.hasMore()) return undefined
    const position = this.head & this.mask
    this.head = (this.head + 1) | 0
    this.release()
    return this.cells[position]
  }
}

class LooksAtTheEndLast extends Consumer {
  override get isEnded(): boolean {
    return !this.hasMore() && this.words.load(PRODUCER_CLOSED) === 1
  }
}

class ClosesBeforePublishing extends Producer {
  override close(): void {
    this.words.store(PRODUCER_CLOSED, 1)
    this.publish()
  }
}

class NeverLooksAtTheHead extends Producer {
  protected override hasRoomNow(): boolean {
    return true
  }
}

type Mutant = Pick<Ends, 'makeProducer' | 'makeConsumer'> & { readonly message: RegExp }

const MUTANTS: Record<string, Mutant> = {
  'cells are written after they are published': {
    makeProducer: (ring) => new Producer(writingLate(ring)),
    message: /^a data race for ring\[0\]/,
  },
  'cells are freed before they are read': {
    makeConsumer: (ring) => new FreesBeforeReading(ring),
    message: /^a data race for ring\[0\]/,
  },
  'the end is looked at after the tail': {
    makeConsumer: (ring) => new LooksAtTheEndLast(ring),
    message: /^the outcome is wrong/,
  },
  'the end is written before the tail': {
    makeProducer: (ring) => new ClosesBeforePublishing(ring),
    message: /^the outcome is wrong/,
  },
  'a full ring is written to': {
    makeProducer: (ring) => new NeverLooksAtTheHead(ring),
    message: /^(a data race|the outcome is wrong)/,
  },
}

for (const [name, mutant] of Object.entries(MUTANTS)) {
  test(`explore() finds what is wrong when ${name}`, () => {
    const { message, ...ends } = mutant
    const all = { produce: stageAll(3), consume: popToEnd, check: allOf(3), ...ends }

    assert.throws(() => exploreEnds(1, 0, all), { name: 'Violation', message })
  })
}
