import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import {
  attachOneshotReceiver,
  attachOneshotSender,
  attachReceiver,
  attachSender,
  createSharedChannel,
  createSharedOneshot,
} from '../../src/channels/index.ts'

function openBoth() {
  const channel = createSharedChannel<unknown>({ capacity: 16, codec: 'msgpack' })
  return { sender: attachSender(channel), receiver: attachReceiver(channel) }
}

async function carry(value: unknown): Promise<unknown> {
  const { sender, receiver } = openBoth()
  const [received] = await Promise.all([receiver.receive(), sender.send(value)])
  return received
}

const cycle: Record<string, unknown> = { name: 'a' }
cycle.self = cycle

const CARRIED: Readonly<Record<string, unknown>> = {
  'null and undefined': [null, undefined, { a: undefined }],
  booleans: [true, false],
  numbers: [0, -0, 1, -1, 255, 2 ** 31, 2 ** 32, 2 ** 53, 0.1, Number.NaN, -Infinity, 5e-324],
  'big integers': [0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 64n - 1n, 2n ** 64n, -(2n ** 200n)],
  strings: ['', 'a', 'ä'.repeat(100), '\u{1f600}', '\ud800', '\ufeffa', `\ufeff${'a'.repeat(100)}`],
  'arrays with holes': Object.assign([], { 0: 1, 2: 3 }),
  'nested objects': { a: { b: [{ c: 1 }] }, '': 1, '1': 2, 'ä\ud800': 3 },
  'keys that mean something': JSON.parse('{"__proto__":1,"constructor":2,"toJSON":3}'),
  Map: new Map<unknown, unknown>([[{ a: 1 }, new Set([1, 'x'])]]),
  Set: new Set([1, new Map([[1, 2]])]),
  Date: [new Date(0), { at: new Date(1e12) }],
  RegExp: /a+/giu,
  bytes: { bytes: new Uint8Array([1, 2, 3]), empty: new Uint8Array(0) },
  Buffer: { bytes: Buffer.from('abc') },
  'other views': [new Uint16Array([1, 256]), new Float64Array([0.5]), new BigInt64Array([-1n])],
  ArrayBuffer: new ArrayBuffer(3),
  'deep nesting': nest(200),
}

function nest(depth: number): unknown {
  return depth === 0 ? 'bottom' : [nest(depth - 1)]
}

for (const [name, value] of Object.entries(CARRIED)) {
  test(`msgpack carries ${name} as they are`, async () => {
    assert.deepStrictEqual(await carry(value), value)
  })
}

test('msgpack carries cycles, and the errors of JavaScript', async () => {
  const found = (await carry(cycle)) as typeof cycle
  const error = new RangeError('too far', { cause: new Error('why') })
  const foundError = (await carry(error)) as RangeError

  assert.equal(found.self, found)
  assert.equal(found.name, 'a')
  assert.ok(foundError instanceof RangeError)
  assert.equal(foundError.message, 'too far')
})

class Point {
  x = 1
}
class OwnError extends Error {}
class OwnArray extends Array<number> {}

const REFUSED: Readonly<Record<string, unknown>> = {
  'a function': () => 1,
  'a function in an object': { a: [{ f() {} }] },
  'a symbol': Symbol('a'),
  'an instance of a class': new Point(),
  'an instance in a Map': new Map([[1, { point: new Point() }]]),
  'an instance in a Set': new Set([[new Point()]]),
  'an instance in a cycle': { cycle, point: new Point() },
  'an error of a class': new OwnError('a'),
  'an array of a class': OwnArray.from([1]),
  'a promise': Promise.resolve(1),
  'a WeakMap': { map: new WeakMap() },
  'shared memory': new SharedArrayBuffer(8),
  'a view of shared memory': { view: new Int32Array(new SharedArrayBuffer(8)) },
  'bytes of shared memory': new Uint8Array(new SharedArrayBuffer(8)),
}

for (const [name, value] of Object.entries(REFUSED)) {
  test(`msgpack refuses ${name}, before anything is sent`, async () => {
    const { sender, receiver } = openBoth()

    await assert.rejects(sender.send(value), (error) => error instanceof Error)
    await assert.rejects(sender.sendBatch([1, value]), (error) => error instanceof Error)

    assert.equal(receiver.tryReceive(), undefined)
    await sender.send('next')
    assert.equal(await receiver.receive(), 'next')
  })
}

test('a refusal says where in the value its cause is', async () => {
  const { sender } = openBoth()

  await assert.rejects(sender.send({ a: [{ point: new Point() }] }), {
    name: 'TypeError',
    message: /value\.a\.0\.point is an instance of Point/,
  })
})

test('whatever msgpack carries arrives as it was', async () => {
  const { sender, receiver } = openBoth()
  const anything = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withTypedArray: true,
    withSparseArray: true,
    withUnicodeString: true,
  } as never)

  await fc.assert(
    fc.asyncProperty(anything, async (value) => {
      // Which equals no other for Node's assertions.
      fc.pre(!inspect(value, { depth: null }).includes('Invalid Date'))
      // At once: what is longer than the channel goes in pieces, and is sent once the last has been taken.
      const [received] = await Promise.all([receiver.receive(), sender.send(value)])
      assert.deepStrictEqual(received, value)
    }),
    { numRuns: 2_000 },
  )
})

test('msgpack carries plain objects and arrays of another realm', async () => {
  const foreign = runInNewContext('({ a: [1, { b: 2 }] })')

  assert.deepStrictEqual(await carry(foreign), { a: [1, { b: 2 }] })
})

test('an object that is there twice comes out as two, as MessagePack has it, or as one', async () => {
  const shared = { a: 1 }

  const plain = (await carry([shared, shared])) as object[]

  assert.deepEqual(plain, [shared, shared])
})

test('objects that are there twice in objects that are there twice cost no more than they are', async () => {
  let value: unknown[] = [1]
  for (let level = 0; level < 60; level++) value = [value, value]

  let found = (await carry(value)) as unknown[]

  for (let level = 0; level < 60; level++) {
    assert.equal(found[0], found[1])
    found = found[0] as unknown[]
  }
  assert.deepEqual(found, [1])
})

test('a large value of many objects is carried', async () => {
  const value = Array.from({ length: 10_000 }, (_, id) => ({ id, tags: [`tag ${id}`] }))

  assert.deepStrictEqual(await carry(value), value)
})

test('bytes of a message are of their own, and the message is a copy', async () => {
  const { sender, receiver } = openBoth()
  const bytes = new Uint8Array([1, 2, 3])
  sender.trySend({ bytes })
  bytes.fill(9)

  const found = (await receiver.receive()) as { bytes: Uint8Array }

  assert.deepStrictEqual(found.bytes, new Uint8Array([1, 2, 3]))
  assert.equal(Object.getPrototypeOf(found.bytes), Uint8Array.prototype)
})

test('a oneshot takes msgpack as well', async () => {
  const oneshot = createSharedOneshot<object>({ codec: 'msgpack' })
  attachOneshotSender(oneshot).send({ done: true })

  assert.deepEqual(await attachOneshotReceiver(oneshot).receive(), { done: true })
})
