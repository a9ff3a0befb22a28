/** A port on several drivers, whose threads are played by the tests: they say what they like, when they like. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Driver } from '../../src/runtime/driver.ts'
import { PortBoard } from '../../src/runtime/port-board.ts'
import { PortGroup } from '../../src/runtime/port-group.ts'
import type { OpenedPort, ToPort } from '../../src/runtime/port-messages.ts'
import { checkPortOptions } from '../../src/runtime/port-options.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(10_000)
const OPENED: OpenedPort = {
  address: { family: 'IPv4', host: '127.0.0.1', port: 4000 },
  share: {
    kind: 'TcpListener',
    name: 7,
    address: { family: 'IPv4', host: '127.0.0.1', port: 4000 },
  },
} as unknown as OpenedPort

/** A driver that has a thread as long as the test says so. */
class PlayedDriver {
  readonly name: string
  isRunning = true
  readonly posted: ToPort[] = []
  readonly ports = new PortBoard((message) => this.posted.push(message))

  constructor(name: string) {
    this.name = name
  }

  get shard(): this {
    return this
  }

  get last(): ToPort {
    return this.posted.at(-1)!
  }

  assertRunning(): void {}

  terminate(): Promise<void> {
    throw new Error('nobody is to be terminated')
  }

  /** Another thread has taken the place of its last one. */
  restart(): void {
    this.ports.endAll(this.name, 'exited')
    this.ports.startAgain()
  }

  /** Says of what it was asked to open last that it is open. */
  open(): void {
    assert.equal(this.last.kind, 'openPort')
    this.ports.hear({ kind: 'portOpened', port: this.last.port, opened: OPENED })
  }
}

/** Lets what was promised come about. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function driversOf(...played: readonly PlayedDriver[]): readonly Driver[] {
  return played as unknown as readonly Driver[]
}

/** Two drivers that serve one port from one socket. */
async function serveByTwo(): Promise<{ group: PortGroup; a: PlayedDriver; b: PlayedDriver }> {
  const module = new URL('./connections.js', import.meta.url)
  const group = new PortGroup(1, checkPortOptions({ port: 0, module }))
  const [a, b] = [new PlayedDriver('a'), new PlayedDriver('b')]
  const joined = group.join(driversOf(a, b), () => {})
  await settle()
  a.open()
  await settle()
  b.open()
  await joined
  return { group, a, b }
}

test(
  'a driver that left while it opened a port again leaves the socket to others',
  LIMIT,
  async () => {
    const { group, b } = await serveByTwo()
    b.restart()
    await settle()
    await group.leave(driversOf(b), 0)

    const joined = group.join(driversOf(b), () => {})
    await settle()
    const { program } = b.last as ToPort & { readonly kind: 'openPort' }
    b.open()
    await joined

    // One of its own would be refused as the port is taken.
    assert.deepEqual(program.share, OPENED.share)
  },
)

test(
  'what a driver says late of a port is not taken for what it was asked to open next',
  LIMIT,
  async () => {
    const { group, b } = await serveByTwo()
    b.restart()
    await settle()
    const { port: before } = b.last
    await group.leave(driversOf(b), 0)
    const joined = group.join(driversOf(b), () => {})
    await settle()
    const { port: now } = b.last

    b.ports.hear({ kind: 'portOpened', port: before, opened: OPENED })

    assert.deepEqual(b.last, { kind: 'closePort', port: before, cutAfterMs: 0 })
    assert.equal(b.ports.isOpen(group.id), false)
    b.ports.hear({ kind: 'portOpened', port: now, opened: OPENED })
    await joined
    assert.deepEqual(b.last, { kind: 'servePort', port: now })
  },
)

test('a port that is being closed on a driver can be opened there again', LIMIT, async () => {
  const { group, b } = await serveByTwo()
  const { port: before } = b.last
  let isClosed = false
  const closed = group.leave(driversOf(b), 1_000).then(() => {
    isClosed = true
  })
  const joined = group.join(driversOf(b), () => {})
  await settle()
  b.open()
  await joined
  assert.equal(isClosed, false)

  b.ports.hear({ kind: 'portClosed', port: before })

  await closed
  assert.equal(b.ports.isOpen(group.id), true)
})

test(
  'the end of a thread ends what it was closing, and what it had opened again',
  LIMIT,
  async () => {
    const { group, b } = await serveByTwo()
    const closed = group.leave(driversOf(b), 1_000)
    const joined = group.join(driversOf(b), () => {})
    await settle()

    b.ports.endAll('b', 'exited')

    await closed
    await assert.rejects(joined, { code: 'ERR_SHARD_FAILED' })
  },
)
