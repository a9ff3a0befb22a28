import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import {
  ChannelError,
  createMesh,
  joinMesh,
  type Mesh,
  type SharedMesh,
  shardOf,
} from '../../src/channels/index.ts'
import { spawn, yieldNow } from '../../src/index.ts'
import { seedCount } from '../limits.ts'
import { runThreads } from './shared-world.ts'

function joinAll<T>(mesh: SharedMesh<T>): Mesh<T>[] {
  return mesh.roles.map((_, shard) => joinMesh(mesh, shard))
}

test('every shard reaches every shard, itself included, in order', async () => {
  const shards = joinAll(createMesh<string>({ shards: 3, capacity: 4 }))

  for (const mesh of shards) {
    for (let to = 0; to < 3; to++) {
      await mesh.send(to, `${mesh.shard} to ${to}`)
      await mesh.send(to, 'again')
    }
    mesh.close()
  }

  for (const { shard, receiver } of shards) {
    const byShard: string[][] = [[], [], []]
    for await (const { from, value } of receiver) byShard[from]!.push(value)
    assert.deepEqual(
      byShard,
      [0, 1, 2].map((from) => [`${from} to ${shard}`, 'again']),
    )
  }
})

test('a shard that the mesh has not is refused, and the value is not lost', async () => {
  const [first] = joinAll(createMesh({ shards: 2, capacity: 4, codec: 'numbers' }))

  await assert.rejects(first!.send(2, 1), RangeError)
  await assert.rejects(first!.send(-1, 1), RangeError)
  assert.throws(() => first!.trySend(0.5, 1), RangeError)
  assert.throws(() => first!.sender('1' as never), TypeError)
})

test('all shards send more than the mesh holds before they receive anything: none waits for ever', async () => {
  const mesh = createMesh({ shards: 4, capacity: 2, codec: 'numbers' })
  for (let seed = 0; seed < seedCount(30); seed++) {
    const one = createMesh({ shards: 4, capacity: 2, codec: 'numbers' })
    await runThreads(
      seed,
      mesh.roles.map((_, shard) => async () => {
        const self = joinMesh(one, shard)
        for (let round = 0; round < 20; round++) {
          for (let to = 0; to < 4; to++) await self.send(to, round)
        }
        self.close()
        const next = [0, 0, 0, 0]
        for await (const { from, value } of self.receiver) assert.equal(value, next[from]!++)
        assert.deepEqual(next, [20, 20, 20, 20])
      }),
    )
  }
})

test('a shard that sends and never receives fails with ERR_LIMIT_EXCEEDED, which has the value', async () => {
  const mesh = createMesh({ shards: 2, capacity: 2, codec: 'numbers', unreceivedMax: 10 })
  const sentCounts: number[] = []
  await runThreads(
    1,
    mesh.roles.map((_, shard) => async () => {
      const self = joinMesh(mesh, shard)
      for (let value = 0; ; value++) {
        try {
          await self.send(1 - shard, value)
        } catch (error) {
          assert.ok(error instanceof ChannelError)
          assert.deepEqual([error.code, error.value], ['ERR_LIMIT_EXCEEDED', value])
          sentCounts.push(value)
          break
        }
      }
      // The other one is to fail for itself.
      while (sentCounts.length < 2) await yieldNow()
    }),
  )
  assert.ok(sentCounts.every((count) => count >= 2))
})

test('a shard that waits to send has its receivers go on', async () => {
  const [first, second] = joinAll(createMesh({ shards: 2, capacity: 1, codec: 'numbers' }))
  const received: number[] = []
  const receiving = spawn(async () => {
    for await (const { value } of first!.receiver) received.push(value)
  })
  const sending = spawn(async () => {
    for (let value = 0; value < 5; value++) await first!.send(1, value)
  })
  await yieldNow()

  for (let value = 0; value < 5; value++) await second!.send(0, value)
  second!.close()
  for (let count = 0; count < 5; count++) await second!.receiver.receive()
  await sending
  first!.close()
  await receiving

  assert.deepEqual(received, [0, 1, 2, 3, 4])
})

test('in a partial mesh only who sends has senders, and who receives a receiver', async () => {
  const mesh = createMesh({
    shards: 3,
    capacity: 2,
    codec: 'numbers',
    roles: ['sender', 'receiver', 'both'],
  })
  const [sender, receiver, both] = joinAll(mesh)

  assert.equal(await sender!.receiver.receive(), undefined)
  assert.throws(() => receiver!.sender(2), RangeError)
  assert.throws(() => both!.sender(0), RangeError)
  await sender!.send(1, 1)
  await both!.send(1, 2)
  sender!.close()
  both!.close()
  const values: number[] = []
  for await (const { value } of receiver!.receiver) values.push(value)
  assert.deepEqual(values.sort(), [1, 2])
})

test('one shard that sends all the time keeps no other waiting', async () => {
  const [busy, quiet, target] = joinAll(createMesh({ shards: 3, capacity: 1024, codec: 'numbers' }))
  await busy!.sender(2).sendBatch(new Float64Array(1024))
  await quiet!.send(2, 7)
  quiet!.sender(2).flush()

  const firsts = await target!.receiver.receiveBatch(40)

  assert.ok(firsts.some(({ from, value }) => from === 1 && value === 7))
})

test('a shard whose thread ends is told of once, and the others go on', async () => {
  for (let seed = 0; seed < seedCount(30); seed++) {
    const mesh = createMesh({ shards: 3, capacity: 2, codec: 'numbers' })
    const received: number[] = []
    let errorCount = 0
    await runThreads(seed, [
      async () => {
        const self = joinMesh(mesh, 0)
        self.close()
        for (let isOver = false; !isOver; ) {
          try {
            const message = await self.receiver.receive()
            if (message === undefined) isOver = true
            else received.push(message.value)
          } catch (error) {
            assert.equal((error as { code?: string }).code, 'ERR_PEER_ENDED')
            assert.match(String(error), /shard 1/)
            errorCount++
          }
        }
      },
      async ({ end }) => {
        const self = joinMesh(mesh, 1)
        await self.send(0, 1)
        self.sender(0).flush()
        end()
      },
      async () => {
        const self = joinMesh(mesh, 2)
        for (let count = 0; count < 5; count++) await self.send(0, 2)
        self.close()
      },
    ])
    assert.deepEqual(received.sort(), [1, 2, 2, 2, 2, 2])
    assert.equal(errorCount, 1)
  }
})

test('what is wrong with a mesh is refused', () => {
  const mesh = createMesh({ shards: 2, capacity: 1 })
  joinMesh(mesh, 0)

  assert.throws(() => joinMesh(mesh, 0), { code: 'ERR_STILL_HELD' })
  assert.throws(() => joinMesh(mesh, 2), RangeError)
  assert.throws(() => joinMesh({} as never, 0), TypeError)
  assert.throws(() => createMesh({ shards: 0, capacity: 1 }), RangeError)
  assert.throws(() => createMesh({ shards: 1, capacity: 1, shard: 1 } as never), TypeError)
  assert.throws(() => createMesh({ shards: 2, capacity: 1, roles: ['both'] }), RangeError)
  assert.throws(() => createMesh({ shards: 1, capacity: 1, roles: ['peer' as never] }), TypeError)
  assert.throws(() => createMesh({ shards: 1, capacity: 1, roles: ['sender'] }), RangeError)
  assert.throws(() => createMesh({ shards: 1024, capacity: 2 ** 20 }), RangeError)
  assert.equal(inspect(joinMesh(mesh, 1)), 'Mesh(shard 1 of 2)')
})

test('shardOf() is the same for ever', () => {
  const keys = ['', 'user:1', 'schlüssel', 0, -0, 1.5, 10n, new Uint8Array([1, 2, 3, 4, 5])]

  assert.deepEqual(
    keys.map((key) => shardOf(key, 1024)),
    SHARDS,
  )
  assert.throws(() => shardOf(null as never, 2), TypeError)
  assert.throws(() => shardOf('a', 0), RangeError)
})

// Computed once: data may be stored by them.
const SHARDS = [979, 673, 462, 296, 296, 1018, 83, 418]

test('shardOf() spreads keys evenly', () => {
  const counts = new Array<number>(7).fill(0)
  for (let key = 0; key < 70_000; key++) counts[shardOf(`key ${key}`, 7)]!++

  for (const count of counts) assert.ok(Math.abs(count - 10_000) < 500, `${count} of 10,000`)
})
