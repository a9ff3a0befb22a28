/**
 * One shard crashes: the others serve on, what is connected to it by channels is told and keeps its values, the pool says
 * why, and with a restart another takes its place.
 *
 * Proof that these can fail: without directory_tell() of native/directory.c the channels wait for ever; where a failed send
 * drops its value `returned` differs.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSharedChannel } from '../../src/channels/index.ts'
import { TcpStream } from '../../src/net/index.ts'
import { ExecutorPool, type ShardExit } from '../../src/runtime/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { PoolPlacement } from '../../src/topology/index.ts'
import { limited, seedCount } from '../limits.ts'
import {
  type Crash,
  type CrashArgument,
  type Findings,
  GREETING,
  type Link,
  WORD_CRASHING,
  WORD_PORT,
} from './crash-shard.ts'

const LIMIT = limited(60_000)
const SEEDS = seedCount(30)
const CAPACITY = 4

function newLink(): Link {
  const options = { capacity: CAPACITY, codec: 'numbers' } as const
  return { there: createSharedChannel(options), back: createSharedChannel(options) }
}

/** Sends, and has it come back. */
async function assertEcho(client: TcpStream, text: string): Promise<void> {
  await client.write(Buffer.from(text))
  let answer = ''
  while (answer.length < text.length) answer += Buffer.from((await client.read())!).toString()
  assert.equal(answer, text)
}

interface Expected {
  readonly exit: object
  /** Whether somebody has to end it. */
  readonly terminate?: boolean
  readonly restart?: boolean
}

/** Crashes shard 0 while shard 1 serves. */
async function crash(how: Crash, { exit, terminate, restart }: Expected): Promise<void> {
  const words = new Int32Array(new SharedArrayBuffer(8))
  const links = restart === true ? [newLink(), newLink()] : [newLink()]
  const exits: ShardExit<Findings | null>[] = []
  const pool = await ExecutorPool.start<CrashArgument, Findings | null>({
    module: new URL('./crash-shard.js', import.meta.url),
    argument: { crash: how, links, words },
    placement: PoolPlacement.unbound(2),
    executor: { ioMemoryBytes: 1 << 20 },
    heap: { oldMiB: 16 },
    restart: restart === true ? { backoffMs: 1 } : 'never',
    onExit: (ended) => exits.push(ended.exit),
  })
  const [crashing, serving] = pool.shards
  while (Atomics.load(words, WORD_PORT) === 0) await sleep(1)
  const port = Atomics.load(words, WORD_PORT)
  await using before = await TcpStream.connect({ port })
  await assertEcho(before, 'before')
  while (Atomics.load(words, WORD_CRASHING) === 0) await sleep(1)
  await assertEcho(before, 'meanwhile')
  if (terminate === true) await crashing!.terminate()
  while (exits.length === 0) await sleep(1)

  assert.deepEqual({ ...exits[0], ...exit }, exits[0])
  assert.equal(serving!.state, 'running')
  await assertEcho(before, 'after')
  await using after = await TcpStream.connect({ port })
  await assertEcho(after, 'another')
  const isRestarted = restart === true
  // What took its place has answered, and is done.
  while (isRestarted && exits.length < 2) await sleep(1)
  assert.deepEqual([crashing!.state, crashing!.generation], ['ended', isRestarted ? 2 : 1])
  await Promise.all([before.close(), after.close()])
  const [, last] = await pool.stop()

  assert.equal(last!.reason, 'returned')
  assertFindings((last as { value: Findings }).value, isRestarted ? 70 : null)
}

function assertFindings(findings: Findings, answer: number | null): void {
  const { sendCode, returned, takenBack, received, receiveCode } = findings
  assert.deepEqual([sendCode, receiveCode], ['ERR_PEER_ENDED', 'ERR_PEER_ENDED'])
  const [got, sent] = returned
  assert.equal(got, sent)
  // All that was accepted and not received, in its order; the one that was, too, if the thread ended before it could say so.
  const first = takenBack[0]!
  assert.ok(first === 0 || first === 1)
  assert.deepEqual(
    takenBack,
    Array.from({ length: sent - first }, (_, index) => index + first),
  )
  assert.deepEqual(received, GREETING)
  assert.equal(findings.answer, answer)
}

const planted = new RangeError('planted')
const crashes: readonly [how: Crash, what: string, expected: Expected][] = [
  ['throw', 'throws', { exit: { reason: 'threw', error: planted } }],
  ['throwLater', 'has an error that nobody catches', { exit: { reason: 'threw', error: planted } }],
  [
    'rejectLater',
    'has a rejection that nobody handles',
    { exit: { reason: 'threw', error: planted } },
  ],
  ['exit', 'calls process.exit()', { exit: { reason: 'exit', exitCode: 7 } }],
  ['fillHeap', 'runs out of memory', { exit: { reason: 'outOfMemory' } }],
  ['sleep', 'is terminated in its sleep', { exit: { reason: 'terminated' }, terminate: true }],
  ['loop', 'is terminated in an endless loop', { exit: { reason: 'terminated' }, terminate: true }],
  [
    'loopInTask',
    'is terminated in an endless loop of a task',
    { exit: { reason: 'terminated' }, terminate: true },
  ],
]

for (const [how, what, expected] of crashes) {
  test(`a shard that ${what} fails its channels, and the other serves on`, LIMIT, async () => {
    await crash(how, expected)
  })

  test(
    `another takes the place of a shard that ${what}, and its channels work`,
    LIMIT,
    async () => {
      await crash(how, { ...expected, restart: true })
    },
  )
}

for (const how of ['throw', 'sleep'] as const) {
  const [, what, expected] = crashes.find(([name]) => name === how)!
  test(
    `a simulated shard that ${what} fails its channels, and another takes its place`,
    LIMIT,
    async () => {
      for (let seed = 0; seed < SEEDS; seed++) {
        await simulate(seed, () => crash(how, { ...expected, restart: true }))
      }
    },
  )
}
