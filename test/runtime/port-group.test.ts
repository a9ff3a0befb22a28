/** A port on several drivers, whose threads are played by the tests: they say what they like, when they like. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { recordError } from '../../src/base/index.ts'
import type { Driver } from '../../src/runtime/driver.ts'
import { FailureLots } from '../../src/runtime/failure-lots.ts'
import { PortBoard } from '../../src/runtime/port-board.ts'
import { PortGroup, type PortGroupHost } from '../../src/runtime/port-group.ts'
import type { OpenedPort, ToPort } from '../../src/runtime/port-messages.ts'
import {
  type CheckedPortOptions,
  checkPortOptions,
  type PortOutage,
} from '../../src/runtime/port-options.ts'
import { PortTable } from '../../src/runtime/port-table.ts'
import type { ShardState } from '../../src/runtime/shard-slot.ts'
import type { ThreadStarter } from '../../src/runtime/shard-thread.ts'
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
  state: ShardState = 'running'
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

const OPTIONS = checkPortOptions({ port: 0, module: new URL('./connections.js', import.meta.url) })

/** Timers that expire as the test says so. */
class PlayedTimers {
  readonly armed = new Map<() => void, number>()

  readonly setTimer = (
    delayMs: number,
    callback: () => void,
  ): { cancel(): void; setReferenced(): void } => {
    this.armed.set(callback, delayMs)
    return { cancel: () => void this.armed.delete(callback), setReferenced: () => {} }
  }

  expire(): void {
    const [callback] = this.armed.keys()
    assert.ok(callback !== undefined)
    this.armed.delete(callback)
    callback()
  }
}

function hostOf(timers = new PlayedTimers()): PortGroupHost {
  const { setTimer } = timers
  return { whenFree: Promise.resolve(), setTimer, assertOwnAddress: () => {} }
}

/** Two drivers that serve one port from one socket. */
async function serveByTwo(
  options = OPTIONS,
): Promise<{ group: PortGroup; a: PlayedDriver; b: PlayedDriver }> {
  const group = new PortGroup(1, options, hostOf())
  const [a, b] = [new PlayedDriver('a'), new PlayedDriver('b')]
  const joined = group.join(driversOf(a, b), options, () => {})
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

    const joined = group.join(driversOf(b), OPTIONS, () => {})
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
    const joined = group.join(driversOf(b), OPTIONS, () => {})
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
  const joined = group.join(driversOf(b), OPTIONS, () => {})
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
    const joined = group.join(driversOf(b), OPTIONS, () => {})
    await settle()

    b.ports.endAll('b', 'exited')

    await closed
    await assert.rejects(joined, { code: 'ERR_SHARD_FAILED' })
  },
)

test('an outage is told once, again after it was over, and at last for good', LIMIT, async () => {
  const outages: PortOutage[] = []
  const onOutage = (outage: PortOutage): void => void outages.push(outage)
  const { group, a, b } = await serveByTwo({ ...OPTIONS, onOutage })
  const address = group.address!
  const end = async (driver: PlayedDriver, state: ShardState): Promise<void> => {
    driver.state = state
    driver.ports.endAll(driver.name, 'exited')
    await settle()
  }

  await end(a, 'restarting')
  assert.deepEqual(outages, [])
  await end(b, 'restarting')
  await end(b, 'restarting')
  assert.deepEqual(outages, [{ address, isFinal: false }])
  a.state = 'running'
  a.ports.startAgain()
  await settle()
  a.open()
  await settle()
  await end(b, 'ended')
  assert.equal(outages.length, 1)
  await end(a, 'restarting')
  await end(a, 'ended')

  assert.deepEqual(outages.slice(1), [
    { address, isFinal: false },
    { address, isFinal: true },
  ])
})

test('drivers that are stopped, or have left, are no outage', LIMIT, async () => {
  const outages: PortOutage[] = []
  const onOutage = (outage: PortOutage): void => void outages.push(outage)
  const stopped = await serveByTwo({ ...OPTIONS, onOutage })
  const left = await serveByTwo({ ...OPTIONS, onOutage })

  for (const driver of [stopped.a, stopped.b]) {
    driver.state = 'stopping'
    driver.ports.endAll(driver.name, 'was stopped')
    driver.state = 'ended'
  }
  void left.group.leave(driversOf(left.a, left.b), 0)
  for (const driver of [left.a, left.b]) driver.ports.endAll(driver.name, 'exited')
  await settle()

  assert.deepEqual(outages, [])
})

test('join() gives up by its time limit, naming who has not opened the port', LIMIT, async () => {
  const timers = new PlayedTimers()
  const group = new PortGroup(1, OPTIONS, hostOf(timers))
  const [a, b] = [new PlayedDriver('a'), new PlayedDriver('b')]
  const joined = group.join(driversOf(a, b), { signal: undefined, timeoutMs: 7 }, () => {})
  await settle()
  a.open()
  await settle()

  timers.expire()

  await assert.rejects(joined, { code: 'ERR_TASK_TIMEOUT', message: /within 7 ms: 'b' had not/ })
  assert.ok(group.isEmpty)
  assert.equal(a.last.kind, 'closePort')
  // It had it open a moment later.
  b.open()
  assert.equal(b.last.kind, 'closePort')
})

test(
  'who joins again after a time limit is not made to leave by what was given up',
  LIMIT,
  async () => {
    const { group, a } = await serveByTwo()
    const timers = new PlayedTimers()
    const c = new PlayedDriver('c')
    const late = new PortGroup(2, OPTIONS, hostOf(timers))
    const first = late.join(driversOf(c), OPTIONS, () => {})
    await settle()

    timers.expire()
    const second = late.join(driversOf(c), OPTIONS, () => {})

    await assert.rejects(first, { code: 'ERR_TASK_TIMEOUT' })
    await settle()
    c.open()
    await second
    assert.deepEqual([c.last.kind, late.isEmpty, timers.armed.size], ['servePort', false, 0])
    assert.ok(a.ports.isOpen(group.id))
  },
)

test('a signal ends join(), which leaves nothing behind', LIMIT, async () => {
  const group = new PortGroup(1, OPTIONS, hostOf())
  const a = new PlayedDriver('a')
  const controller = new AbortController()
  const { signal } = controller
  const joined = group.join(driversOf(a), { signal, timeoutMs: 1000 }, () => {})
  await settle()

  controller.abort(new Error('enough'))

  await assert.rejects(joined, { message: 'enough' })
  a.ports.hear({ kind: 'portRefused', port: a.last.port, error: recordError(new Error('late')) })
  await group.whenShut
  assert.ok(group.isEmpty)
})

test('a driver that does not open its port again in time is terminated', LIMIT, async () => {
  const timers = new PlayedTimers()
  const group = new PortGroup(1, OPTIONS, hostOf(timers))
  const a = new PlayedDriver('a')
  let terminatedCount = 0
  a.terminate = () => {
    terminatedCount++
    return Promise.resolve()
  }
  const joined = group.join(driversOf(a), OPTIONS, () => {})
  await settle()
  a.open()
  await joined
  a.restart()
  await settle()

  timers.expire()

  assert.equal(terminatedCount, 1)
})

test('a driver has its time to open its port again from its turn on', LIMIT, async () => {
  const timers = new PlayedTimers()
  const group = new PortGroup(1, OPTIONS, hostOf(timers))
  const [a, b] = [new PlayedDriver('a'), new PlayedDriver('b')]
  const joined = group.join(driversOf(a, b), OPTIONS, () => {})
  await settle()
  a.open()
  await settle()
  b.open()
  await joined

  a.restart()
  b.restart()
  await settle()
  const whileFirst = timers.armed.size
  a.open()
  await settle()
  const whileSecond = timers.armed.size
  b.open()
  await settle()

  assert.deepEqual([whileFirst, whileSecond, timers.armed.size], [1, 1, 0])
  assert.deepEqual([a.last.kind, b.last.kind], ['servePort', 'servePort'])
})

test('a port that is being closed is opened again once its sockets are gone', LIMIT, async () => {
  const { setTimer } = new PlayedTimers()
  const table = new PortTable({ setTimer } as unknown as ThreadStarter)
  const options: CheckedPortOptions = { ...OPTIONS, listen: { ...OPTIONS.listen, port: 4000 } }
  const [a, b] = [new PlayedDriver('a'), new PlayedDriver('b')]
  const one = table.find(options)
  const joined = one.join(driversOf(a), options, () => {})
  await settle()
  a.open()
  await joined
  const { port } = a.last
  void one.leave(driversOf(a), 1000)

  const two = table.find(options)
  const again = two.join(driversOf(b), options, () => {})
  await settle()

  assert.notEqual(one, two)
  assert.equal(b.posted.length, 0)
  a.ports.hear({ kind: 'portShut', port })
  await settle()
  b.open()
  await again
  assert.equal(b.last.kind, 'servePort')
})

test(
  'find() tells ports apart by address and number, whatever they are named by',
  LIMIT,
  async () => {
    const { setTimer } = new PlayedTimers()
    const table = new PortTable({ setTimer } as unknown as ThreadStarter)
    const at = (host: string | undefined, port = 4000): CheckedPortOptions => {
      const { module } = OPTIONS
      return checkPortOptions({
        module: new URL(module),
        port,
        ...(host !== undefined && { host }),
      })
    }
    const a = new PlayedDriver('a')
    const group = table.find(at(undefined))
    const joined = group.join(driversOf(a), OPTIONS, () => {})
    await settle()
    a.open()
    await joined

    assert.equal(table.find(at('localhost')), group)
    assert.equal(table.find(at('127.0.0.1')), group)
    for (const other of [at('::1'), at('0.0.0.0'), at('127.0.0.1', 4001), at('127.0.0.1', 0)]) {
      assert.notEqual(table.find(other), group)
    }
    group.assertJoinable(driversOf(new PlayedDriver('b')), at('127.0.0.1'))
  },
)

test('connections that fail are told a lot at a time, the others are counted', LIMIT, () => {
  const posted: [count: number, skippedCount: number][] = []
  const lots = new FailureLots((errors, skippedCount) => posted.push([errors.length, skippedCount]))

  for (let count = 0; count < 101; count++) lots.add(new Error('reset'))
  assert.deepEqual(posted, [[1, 0]])
  lots.taken()
  lots.taken()
  lots.add(new Error('reset'))
  lots.add(new Error('reset'))
  lots.flush()

  assert.deepEqual(posted, [
    [1, 0],
    [16, 84],
    [1, 0],
    [1, 0],
  ])
})
