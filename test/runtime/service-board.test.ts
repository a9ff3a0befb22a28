/** The services of a pool, whose shards are played by the tests. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reviveError } from '../../src/base/index.ts'
import { type ServedShard, ServiceBoard } from '../../src/runtime/service-board.ts'
import type { ToServices } from '../../src/runtime/service-messages.ts'

class PlayedShard implements ServedShard {
  readonly id: number
  readonly name: string
  generation = 1
  isUp = true
  readonly posted: ToServices[] = []

  constructor(id: number) {
    this.id = id
    this.name = `played-${id}`
  }

  postToServices(message: ToServices): void {
    this.posted.push(message)
  }

  /** What it was told since the last look, without what is the same each time. */
  take(): string[] {
    return this.posted.splice(0).map((message) => {
      const { kind } = message
      if (kind === 'start') return `start ${message.name}`
      return kind === 'refused' ? `refused ${(reviveError(message.error) as Error).message}` : kind
    })
  }
}

interface Scene {
  readonly board: ServiceBoard
  readonly shards: readonly PlayedShard[]
  /** Has the time limit of the start that goes on pass. */
  expire(): void
  readonly armedCount: () => number
}

function open(): Scene {
  const shards = [new PlayedShard(0), new PlayedShard(1)]
  const armed = new Set<() => void>()
  const board = new ServiceBoard(shards, {
    startTimeoutMs: 9,
    setTimer: (_, callback) => {
      armed.add(callback)
      return { cancel: () => void armed.delete(callback), setReferenced: () => {} }
    },
  })
  const expire = (): void => {
    for (const callback of armed) callback()
  }
  return { board, shards, expire, armedCount: () => armed.size }
}

function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function join(name: string, request: number, maker: number | null = null) {
  return { kind: 'join', request, name, argument: undefined, maker } as const
}

test('an instance that is not made in time fails the start, and is ended if it comes late', async () => {
  const { board, shards, expire, armedCount } = open()
  const [a, b] = shards as [PlayedShard, PlayedShard]
  board.onMessage(a, join('slow', 1))
  board.onMessage(a, { kind: 'started', service: 1, methods: [] })
  await settle()
  assert.deepEqual([a.take(), b.take()], [['start slow'], ['start slow']])

  expire()
  await settle()
  board.onMessage(a, { kind: 'stopped', service: 1, error: null })
  await settle()

  const [refused] = a.take().slice(1)
  assert.match(refused!, /'played-1' did not: its instance must be made within 9 ms: it was not/)
  board.onMessage(b, { kind: 'started', service: 1, methods: [] })
  assert.deepEqual(b.take(), ['stop'])
  assert.equal(armedCount(), 0)
})

test('services that wait for each other are found by any way round', async () => {
  const { board, shards } = open()
  const [a, b] = shards as [PlayedShard, PlayedShard]
  board.onMessage(a, join('one', 1))
  board.onMessage(a, join('two', 2, 1))
  board.onMessage(b, join('three', 1, 2))
  a.take()

  board.onMessage(b, join('one', 2, 3))

  assert.match(b.take().at(-1)!, /^refused .*must not need each other to start/)
})

test('who waits no more, as its thread has ended, is in no circle', async () => {
  const { board, shards } = open()
  const [a, b] = shards as [PlayedShard, PlayedShard]
  board.onMessage(a, join('one', 1))
  board.onMessage(b, join('two', 1))
  board.onMessage(a, join('two', 2, 1))
  a.isUp = false
  board.onEnded(a)

  board.onMessage(b, join('one', 2, 2))

  assert.ok(!b.take().some((message) => message.startsWith('refused')))
})

test('an instance that is made anew gets a service that is to follow it there at once', async () => {
  const { board, shards } = open()
  const [a, b] = shards as [PlayedShard, PlayedShard]
  for (const [number, name] of [
    [1, 'first'],
    [2, 'second'],
  ] as const) {
    board.onMessage(a, join(name, number))
    for (const shard of shards) {
      board.onMessage(shard, { kind: 'started', service: number, methods: [] })
      await settle()
    }
  }
  board.onEnded(b)
  b.generation = 2
  b.take()

  const restored = board.restore(b)
  board.onMessage(b, join('second', 1, 1))
  assert.deepEqual(b.take(), ['start first', 'start second'])
  board.onMessage(b, { kind: 'started', service: 2, methods: [] })
  await settle()
  assert.deepEqual(b.take(), ['joined'])
  board.onMessage(b, { kind: 'started', service: 1, methods: [] })

  await restored
  assert.deepEqual(b.take(), [])
})
