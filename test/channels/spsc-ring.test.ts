import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  createSpscRing,
  frameBytesMax,
  frameCellsMax,
  measureSpscRing,
  SpscFrameConsumer,
  SpscFrameProducer,
  SpscNumberConsumer,
  SpscNumberProducer,
  type SpscRing,
} from '../../src/channels/shared/index.ts'

function connectNumbers(capacity: number) {
  const ring = createSpscRing({ kind: 'numbers', capacity })
  return { producer: SpscNumberProducer.attach(ring), consumer: SpscNumberConsumer.attach(ring) }
}

/** Ends of a ring whose indexes have come as far as `start`. */
function connectFrames(capacity: number, start = 0) {
  const ring = createSpscRing({ kind: 'frames', capacity })
  const words = new Int32Array(ring.memory)
  words[32] = start
  words[64] = start
  return { producer: SpscFrameProducer.attach(ring), consumer: SpscFrameConsumer.attach(ring) }
}

function takeAll(consumer: SpscNumberConsumer): number[] {
  const taken: number[] = []
  for (let value = consumer.tryPop(); value !== undefined; value = consumer.tryPop()) {
    taken.push(value)
  }
  return taken
}

function bytesOf(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => seed + index)
}

for (const capacity of [0, 3, 12, 2 ** 31, 1.5, -4, Number.NaN]) {
  test(`createSpscRing() refuses a capacity of ${capacity}`, () => {
    assert.throws(() => createSpscRing({ kind: 'numbers', capacity }), RangeError)
  })
}

test('createSpscRing() refuses frames too few cells for one', () => {
  assert.throws(() => createSpscRing({ kind: 'frames', capacity: 2 }), RangeError)
})

test('createSpscRing() makes a description that can be cloned', () => {
  const ring = createSpscRing({ kind: 'numbers', capacity: 4 })
  const producer = SpscNumberProducer.attach(ring)
  const consumer = SpscNumberConsumer.attach(structuredClone(ring))

  producer.tryPush(7)

  assert.equal(consumer.tryPop(), 7)
})

test('createSpscRing() keeps to its part of a memory', () => {
  const capacity = 4
  const memory = new SharedArrayBuffer(3 * measureSpscRing(capacity))
  const rings = [0, 1, 2].map((index) => {
    const offsetBytes = index * measureSpscRing(capacity)
    return createSpscRing({ kind: 'numbers', capacity, memory, offsetBytes })
  })
  const producers = rings.map((ring) => SpscNumberProducer.attach(ring))
  const consumers = rings.map((ring) => SpscNumberConsumer.attach(ring))

  for (let round = 0; round < 4; round++) {
    for (const [index, producer] of producers.entries()) producer.tryPush(index)
  }

  assert.deepEqual(consumers.map(takeAll), [Array(4).fill(0), Array(4).fill(1), Array(4).fill(2)])
})

const ENDS: Record<string, [SpscRing['kind'], (ring: SpscRing) => unknown]> = {
  'SpscNumberProducer.attach()': ['numbers', (ring) => SpscNumberProducer.attach(ring)],
  'SpscNumberConsumer.attach()': ['numbers', (ring) => SpscNumberConsumer.attach(ring)],
  'SpscFrameProducer.attach()': ['frames', (ring) => SpscFrameProducer.attach(ring)],
  'SpscFrameConsumer.attach()': ['frames', (ring) => SpscFrameConsumer.attach(ring)],
}

for (const [name, [kind, attach]] of Object.entries(ENDS)) {
  test(`${name} throws ERR_STILL_HELD when that end was taken`, () => {
    const ring = createSpscRing({ kind, capacity: 4 })
    attach(ring)

    assert.throws(() => attach(structuredClone(ring)), { code: 'ERR_STILL_HELD' })
  })
}

test('tryPush() passes every number as it is', () => {
  const numbers = [0, -0, 1.5, -1e300, Number.NaN, Infinity, -Infinity, 2 ** 53, 5e-324]
  const { producer, consumer } = connectNumbers(16)

  for (const number of numbers) assert.ok(producer.tryPush(number))

  const taken = takeAll(consumer)
  assert.ok(taken.every((number, index) => Object.is(number, numbers[index])))
  assert.equal(taken.length, numbers.length)
})

test('tryPush() refuses what is more than the capacity, until something is taken', () => {
  const { producer, consumer } = connectNumbers(2)
  const accepted = [1, 2, 3].map((value) => producer.tryPush(value))
  const first = consumer.tryPop()
  const after = [4, 5].map((value) => producer.tryPush(value))

  assert.deepEqual(accepted, [true, true, false])
  assert.equal(first, 1)
  assert.deepEqual(after, [true, false])
  assert.deepEqual(takeAll(consumer), [2, 4])
})

test('tryPop() says undefined when there is nothing', () => {
  const { consumer } = connectNumbers(2)

  assert.equal(consumer.tryPop(), undefined)
})

test('stage() shows nothing before publish()', () => {
  const { producer, consumer } = connectNumbers(4)
  producer.stage(1)
  producer.stage(2)
  const before = consumer.tryPop()

  producer.publish()

  assert.equal(before, undefined)
  assert.deepEqual(takeAll(consumer), [1, 2])
})

test('pushBatch() takes as many as there is room for', () => {
  const { producer, consumer } = connectNumbers(4)
  producer.tryPush(0)

  const first = producer.pushBatch([1, 2, 3, 4, 5, 6], 1, 6)
  const none = producer.pushBatch([9], 0, 1)
  const empty = producer.pushBatch([9], 1, 1)

  assert.deepEqual([first, none, empty], [3, 0, 0])
  assert.deepEqual(takeAll(consumer), [0, 2, 3, 4])
})

test('popInto() fills no more than its target, and no more than there is', () => {
  const { producer, consumer } = connectNumbers(8)
  producer.pushBatch([1, 2, 3, 4, 5], 0, 5)
  const target = new Float64Array(3)

  const counts = [consumer.popInto(target), target.join(), consumer.popInto(target), target[0]]

  assert.deepEqual(counts, [3, '1,2,3', 2, 4])
  assert.equal(consumer.popInto(target), 0)
})

test('take() frees cells by release(), and when nothing is left', () => {
  const { producer, consumer } = connectNumbers(4)
  producer.pushBatch([1, 2, 3], 0, 3)
  const steps = [consumer.take(), producer.countFree()]
  consumer.release()
  steps.push(producer.countFree(), consumer.take(), consumer.take(), producer.countFree())
  steps.push(consumer.take(), producer.countFree())

  assert.deepEqual(steps, [1, 1, 2, 2, 3, 2, undefined, 4])
})

test('countFree() and countFilled() tell what the other side has done', () => {
  const { producer, consumer } = connectNumbers(4)
  producer.pushBatch([1, 2, 3], 0, 3)
  const before = [producer.countFree(), consumer.countFilled()]
  consumer.tryPop()

  assert.deepEqual(before, [1, 3])
  assert.deepEqual([producer.countFree(), consumer.countFilled()], [2, 2])
})

test('close() of the producer leaves what was sent, then the end', () => {
  const { producer, consumer } = connectNumbers(4)
  producer.stage(1)
  producer.stage(2)
  producer.close()
  producer.close()
  const ended = [consumer.isEnded]

  assert.deepEqual(takeAll(consumer), [1, 2])
  ended.push(consumer.isEnded)
  assert.deepEqual(ended, [false, true])
})

test('tryPush() after close() is a mistake', () => {
  const { producer } = connectNumbers(4)
  producer.close()

  assert.throws(() => producer.tryPush(1), { code: 'ERR_ASSERTION' })
})

test('close() of the consumer has every kind of push refused', () => {
  const numbers = connectNumbers(4)
  const frames = connectFrames(8)
  numbers.consumer.close()
  frames.consumer.close()

  assert.equal(numbers.producer.isConsumerClosed, true)
  assert.equal(numbers.producer.tryPush(1), false)
  assert.equal(numbers.producer.stage(1), false)
  assert.equal(numbers.producer.pushBatch([1], 0, 1), 0)
  assert.equal(frames.producer.tryPush(bytesOf(3, 0)), false)
  assert.equal(frames.producer.beginFrame(3), -1)
})

test('requestRoom() is answered once, by what makes room', () => {
  const { producer, consumer } = connectNumbers(1)
  const asked = [producer.requestRoom()]
  producer.tryPush(1)
  asked.push(producer.requestRoom())
  const unmade = consumer.tryPop()

  assert.deepEqual(asked, [true, false])
  assert.equal(unmade, 1)
  assert.equal(consumer.takeRoomRequest(), true)
  assert.equal(consumer.takeRoomRequest(), false)
})

test('requestRoom() asks for nothing when there is room already, or will never be', () => {
  const { producer, consumer } = connectNumbers(1)
  const withRoom = producer.requestRoom()
  producer.tryPush(1)
  consumer.close()

  assert.equal(withRoom, true)
  assert.equal(producer.requestRoom(), true)
  assert.equal(consumer.takeRoomRequest(), false)
})

test('beginFrame() throws RangeError for what never has room, and keeps the ring as it was', () => {
  const { producer, consumer } = connectFrames(16)
  const max = frameBytesMax(16)

  assert.throws(() => producer.beginFrame(max + 1), RangeError)
  assert.throws(() => producer.tryPush(bytesOf(max + 1, 0)), RangeError)
  assert.equal(max, 56)
  assert.equal(producer.frameBytesMax, max)
  assert.equal(producer.tryPush(bytesOf(max, 1)), true)
  assert.deepEqual(Uint8Array.from(consumer.nextView()!), bytesOf(max, 1))
})

test('beginFrame() has room for the longest frame wherever an empty ring stands', () => {
  for (let start = -16; start < 16; start++) {
    const { producer, consumer } = connectFrames(16, start)

    assert.equal(producer.tryPush(bytesOf(producer.frameBytesMax, start)), true)
    assert.deepEqual(Uint8Array.from(consumer.nextView()!), bytesOf(producer.frameBytesMax, start))
  }
})

test('requestRoom() for frameCellsMax() is enough for a frame wherever the ring stands', () => {
  for (let start = 0; start < 16; start++) {
    for (let length = 0; length <= frameBytesMax(16); length++) {
      const { producer } = connectFrames(16, start)
      const filler = bytesOf(8, 0)
      while (producer.countFree() - 2 >= frameCellsMax(length) && producer.tryPush(filler)) {}

      assert.equal(producer.tryPush(bytesOf(length, 0)), true)
    }
  }
})

test('commitFrame() may end a frame that is shorter than it was begun with', () => {
  const { producer, consumer } = connectFrames(16)
  const offset = producer.beginFrame(56)
  producer.bytes.set([7, 8], offset)
  producer.commitFrame(2)
  producer.tryPush(bytesOf(1, 9))

  assert.deepEqual([...consumer.nextView()!], [7, 8])
  assert.deepEqual([...consumer.nextView()!], [9])
  assert.equal(offset % 8, 0)
})

test('commitFrame() without beginFrame(), or longer than that, is a mistake', () => {
  const { producer } = connectFrames(16)

  assert.throws(() => producer.commitFrame(1), { code: 'ERR_ASSERTION' })
  producer.beginFrame(4)
  assert.throws(() => producer.commitFrame(5), { code: 'ERR_ASSERTION' })
})

test('nextFrame() keeps frames in place until release()', () => {
  const { producer, consumer } = connectFrames(8)
  producer.tryPush(bytesOf(8, 1))
  producer.tryPush(bytesOf(8, 11))
  const first = consumer.nextView()!
  const second = consumer.nextView()!
  producer.tryPush(bytesOf(8, 21))
  producer.tryPush(bytesOf(8, 31))
  const whenFull = producer.tryPush(bytesOf(8, 41))
  const kept = [first[0], second[0]]
  consumer.release()

  assert.equal(whenFull, false)
  assert.deepEqual(kept, [1, 11])
  assert.equal(producer.tryPush(bytesOf(8, 41)), true)
})

type Step =
  | { readonly kind: 'push' | 'stage'; readonly length: number }
  | { readonly kind: 'publish' | 'next' | 'release' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('push' as const, 'stage' as const),
      length: fc.nat({ max: frameBytesMax(32) }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('publish' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('next' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('release' as const) }) },
)

test('frames come out as they went in, for any steps from any place', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.integer(), (steps, start) => {
      const { producer, consumer } = connectFrames(32, start)
      const staged: Uint8Array[] = []
      const published: Uint8Array[] = []
      let seed = 0
      const publish = () => published.push(...staged.splice(0))
      for (const one of steps) {
        if (one.kind === 'push' || one.kind === 'stage') {
          const bytes = bytesOf(one.length, seed++)
          const isIn = one.kind === 'push' ? producer.tryPush(bytes) : producer.stage(bytes)
          if (isIn) staged.push(bytes)
          else assert.ok(producer.countFree() < frameCellsMax(one.length))
          if (isIn && one.kind === 'push') publish()
        } else if (one.kind === 'publish') {
          producer.publish()
          publish()
        } else if (one.kind === 'next') {
          const view = consumer.nextView()
          assert.deepEqual(view && Uint8Array.from(view), published.shift())
        } else {
          consumer.release()
        }
      }
    }),
  )
})
