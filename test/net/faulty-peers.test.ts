import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { configureNet } from '../../src/net/memory/net-ring.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { Cancels, STOPPED } from '../hazards/cancels.ts'
import { limited, seedCount } from '../limits.ts'
import { readRandomly } from './random-traffic.ts'
import { assertPattern, holdings, pattern } from './support.ts'

const SEEDS = seedCount(20)
const SEED = Number(process.env.PERCORE_TEST_SEED ?? 1)

const FAULTS = {
  shortRead: 0.1,
  shortWrite: 0.1,
  delay: 0.05,
  reorder: 0.1,
  cqOverflow: 0.05,
  multishotEnd: 0.1,
  lateCancel: 0.3,
  noBuffers: 0.1,
  enterBusy: 0.02,
  errors: { EAGAIN: 0.02, EINTR: 0.02 },
}

/** What a stream may fail with beside a faulty peer, or once it was given up. */
const EXPECTED = new Set(['ECONNRESET', 'EPIPE', 'ERR_TASK_TIMEOUT', 'ERR_HANDLE_CLOSED'])

/** What a peer does to a server that sends and receives the pattern. */
const PEERS: Readonly<Record<string, (peer: TcpStream, cancels: Cancels) => Promise<void>>> = {
  /** Sends much, reads all, and ends. */
  async busy(peer, { prng }) {
    const size = prng.int(1, 400_000)
    const reading = readAll(peer)
    await peer.write(pattern(0, size))
    await peer.shutdown()
    await reading
  },
  /** Sends one byte at a time. */
  async dripping(peer, { prng }) {
    const reading = readAll(peer)
    for (let position = 0; position < 100; position++) {
      await peer.write(pattern(position, 1))
      if (prng.chance(0.1)) await sleep(prng.int(1, 20))
    }
    await peer.shutdown()
    await reading
  },
  /** Sends some, and says nothing more. */
  async stalling(peer, { prng }) {
    await peer.write(pattern(0, prng.int(1, 50_000)))
    await readAll(peer)
  },
  /** Sends much, and reads nothing. */
  async deaf(peer, { prng }) {
    await peer.write(pattern(0, prng.int(1, 100_000)))
    await sleep(60_000)
  },
  /** Goes in the middle of everything. */
  async vanishing(peer, { prng }) {
    const sent = peer.write(pattern(0, prng.int(1, 300_000)))
    sent.catch(() => 'cut by the close')
    await sleep(prng.int(0, 30))
  },
  /** The same, with a reset. */
  async resetting(peer, { prng }) {
    const sent = peer.write(pattern(0, prng.int(1, 300_000)))
    sent.catch(() => 'cut by the reset')
    await sleep(prng.int(0, 30))
    await peer.reset()
  },
}
const KINDS = Object.keys(PEERS)

async function readAll(stream: TcpStream): Promise<void> {
  let position = 0
  for await (const chunk of stream) {
    assertPattern(chunk, position)
    position += chunk.length
  }
}

/** Sends and receives the pattern, gives up at random, and is told by limits where the peer does nothing. */
async function serve(stream: TcpStream, cancels: Cancels): Promise<void> {
  const { prng } = cancels
  stream.setTimeouts({ readMs: 5_000, writeMs: 5_000, idleMs: 20_000 })
  const writing = cancels.attempt((signal) =>
    stream.write(pattern(0, prng.int(1, 600_000)), { signal }),
  )
  const outcomes = await Promise.allSettled([
    writing.then((outcome) => (outcome === STOPPED ? undefined : stream.shutdown())),
    readRandomly(stream, cancels),
  ])
  await stream.close()
  for (const outcome of outcomes) if (outcome.status === 'rejected') assertExpected(outcome.reason)
}

function assertExpected(error: unknown): void {
  if (!EXPECTED.has((error as { code?: string }).code ?? '')) throw error
}

async function meetPeers(seed: number): Promise<void> {
  const cancels = new Cancels(seed)
  // Every other machine is short of buffers; a large one is soon filled.
  const isShort = seed % 2 === 1
  configureNet(executor(), { bufferBytes: 512, ...(isShort && { entryCount: 8, initialCount: 1 }) })
  const listener = await TcpListener.bind({ port: 7000 })
  const { fdCount } = holdings()
  const ends = Array.from({ length: 8 }, async () => {
    const accepting = listener.accept()
    const peer = await TcpStream.connect({ port: 7000 })
    const server = await accepting
    const act = PEERS[KINDS[cancels.prng.int(0, KINDS.length - 1)]!]!
    const acting = act(peer, cancels).catch(assertExpected)
    await Promise.all([acting.finally(() => peer.close()), serve(server, cancels)])
  })
  await Promise.all(ends)
  assert.deepEqual(holdings().fdCount, fdCount)
  await listener.close()
  assert.deepEqual([holdings().bufferCount, holdings().operationCount], [0, 0])
}

test(
  `peers that stall, vanish, reset, drip and do not read leave nothing, ${SEEDS} seeds from ${SEED}`,
  limited(60_000),
  async () => {
    for (let seed = SEED; seed < SEED + SEEDS; seed++) {
      await simulate({ seed, faults: FAULTS }, () => meetPeers(seed))
    }
  },
)
