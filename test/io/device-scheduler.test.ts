/** The scheduler of a device beside a model of one, in virtual time: what queues get, and how long they wait. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Heap } from '../../src/base/index.ts'
import { DeviceScheduler, STARVATION_US } from '../../src/io/devices/device-scheduler.ts'
import { DEVICE_WORDS } from '../../src/io/devices/device-share.ts'
import { Cap } from '../../src/io/devices/io-cap.ts'
import type { Flow } from '../../src/io/devices/io-flow.ts'
import { costLineOf, costUs, type DeviceLimits } from '../../src/io/devices/io-model.ts'
import { BURST_US_MIN, LookAhead } from '../../src/io/devices/look-ahead.ts'
import { SLOT_CREATED } from '../../src/ring/index.ts'

const MIB = 1024 * 1024
const DISK: DeviceLimits = {
  read: { bytesPerSecond: 1e9, operationsPerSecond: 100_000 },
  write: { bytesPerSecond: 5e8, operationsPerSecond: 50_000 },
}

/** A task queue that keeps so many requests of one kind waiting or in flight. */
interface Load {
  readonly shares?: number
  readonly isLatencySensitive?: boolean
  readonly lengthBytes?: number
  readonly isWrite?: boolean
  readonly depth?: number
  /** How long each of its users thinks between two requests. */
  readonly thinkUs?: number
  readonly cap?: Cap
  /** The thread that it is on. */
  readonly thread?: number
  readonly stopUs?: number
}

class Request {
  slot = SLOT_CREATED
  readonly load: User
  readonly isMetered = true
  readonly offeredUs: number

  constructor(load: User, nowUs: number) {
    this.load = load
    this.offeredUs = nowUs
  }

  get isWrite(): boolean {
    return this.load.isWrite
  }

  get lengthBytes(): number {
    return this.load.lengthBytes
  }
}

class User {
  shares: number
  readonly isLatencySensitive: boolean
  readonly lengthBytes: number
  readonly isWrite: boolean
  readonly depth: number
  readonly thinkUs: number
  readonly stopUs: number
  readonly flow: Flow<Request>
  readonly thread: Thread
  doneCount = 0
  readonly latenciesUs: number[] = []

  constructor(load: Load, thread: Thread) {
    this.shares = load.shares ?? 1000
    this.isLatencySensitive = load.isLatencySensitive ?? false
    this.lengthBytes = load.lengthBytes ?? 128 * 1024
    this.isWrite = load.isWrite ?? false
    this.depth = load.depth ?? 32
    this.thinkUs = load.thinkUs ?? 0
    this.stopUs = load.stopUs ?? Number.POSITIVE_INFINITY
    this.thread = thread
    this.flow = thread.scheduler.createFlow(this, load.cap ?? null)
  }

  heldCount = 0
  heldUs = 0
  limitedCount = 0

  countHeld(change: 1 | -1, heldUs: number): void {
    this.heldCount += change
    this.heldUs += heldUs
  }

  countLimited(): void {
    this.limitedCount++
  }

  get doneBytes(): number {
    return this.doneCount * this.lengthBytes
  }

  /** The latency that so many of a hundred are within. */
  latencyUs(percent: number): number {
    const sorted = this.latenciesUs.toSorted((a, b) => a - b)
    return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))]!
  }
}

interface Thread {
  scheduler: DeviceScheduler<Request>
  wakeUs: number
}

class Event {
  heapIndex = -1
  readonly atUs: number
  readonly run: () => void

  constructor(atUs: number, run: () => void) {
    this.atUs = atUs
    this.run = run
  }
}

/** Serves requests one after the other, each for its cost by its own limits; answers a while later. */
class World {
  nowUs = 1e9
  readonly startUs: number = this.nowUs
  readonly users: User[]
  readonly #threads: Thread[]
  readonly #events = new Heap<Event>((a, b) => a.atUs < b.atUs)
  readonly #device: DeviceLimits
  readonly #pace: (sinceUs: number) => number
  readonly #turnUs: number
  #freeUs = 0

  constructor(
    loads: readonly Load[],
    options: {
      readonly limits?: DeviceLimits | null
      readonly device?: DeviceLimits
      readonly pace?: (sinceUs: number) => number
      /** How long the turns are of all threads: so long they hear of nothing. */
      readonly turnUs?: number
    } = {},
  ) {
    this.#turnUs = options.turnUs ?? 0
    this.#device = options.device ?? DISK
    this.#pace = options.pace ?? (() => 1)
    const limits = options.limits === undefined ? DISK : options.limits
    const words = new Int32Array(new SharedArrayBuffer(DEVICE_WORDS * 4))
    const threadCount = Math.max(...loads.map(({ thread = 0 }) => thread)) + 1
    this.#threads = Array.from({ length: threadCount }, () => {
      const port = { issue: (request: Request) => this.#serve(request) }
      return { scheduler: new DeviceScheduler({ port, limits, words }), wakeUs: Infinity }
    })
    this.users = loads.map((load) => new User(load, this.#threads[load.thread ?? 0]!))
    for (const user of this.users) {
      for (let index = 0; index < user.depth; index++) this.#at(this.nowUs, () => this.#offer(user))
    }
  }

  run(forUs: number): this {
    const endUs = this.nowUs + forUs
    for (let next = this.#events.peek(); next !== undefined; next = this.#events.peek()) {
      if (next.atUs > endUs) break
      this.#events.pop()
      this.nowUs = Math.max(this.nowUs, next.atUs)
      next.run()
      for (const { scheduler } of this.#threads) scheduler.audit()
    }
    this.nowUs = endUs
    return this
  }

  get queuedCount(): number {
    return this.#threads.reduce((sum, { scheduler }) => sum + scheduler.queuedCount, 0)
  }

  #at(atUs: number, run: () => void): void {
    const turnUs = this.#turnUs
    const heardUs = turnUs === 0 ? atUs : Math.ceil(atUs / turnUs) * turnUs
    this.#events.push(new Event(heardUs, run))
  }

  #offer(user: User): void {
    if (this.nowUs - this.startUs >= user.stopUs) return
    const request = new Request(user, this.nowUs)
    const { scheduler } = user.thread
    if (scheduler.offer(user.flow, request, this.nowUs)) this.#serve(request)
    this.#wakeLater(user.thread)
  }

  #serve(request: Request): void {
    request.slot = 0
    const line = costLineOf(request.isWrite ? this.#device.write : this.#device.read)
    const us = costUs(line, request.lengthBytes) * this.#pace(this.nowUs - this.startUs)
    this.#freeUs = Math.max(this.#freeUs, this.nowUs) + us
    this.#at(this.#freeUs + 50, () => this.#complete(request))
  }

  #complete(request: Request): void {
    const { load: user } = request
    const { scheduler } = user.thread
    user.doneCount++
    user.latenciesUs.push(this.nowUs - request.offeredUs)
    scheduler.completed(request)
    scheduler.pump(this.nowUs)
    this.#wakeLater(user.thread)
    this.#at(this.nowUs + user.thinkUs, () => this.#offer(user))
  }

  #wakeLater(thread: Thread): void {
    const { nextUs } = thread.scheduler
    if (nextUs >= thread.wakeUs || nextUs === Infinity) return
    thread.wakeUs = nextUs
    this.#at(nextUs, () => {
      thread.wakeUs = Infinity
      thread.scheduler.pump(this.nowUs)
      this.#wakeLater(thread)
    })
  }
}

/** How many bytes each got, as parts of the whole. */
function partsOf(world: World): number[] {
  const sum = world.users.reduce((all, { doneBytes }) => all + doneBytes, 0)
  return world.users.map(({ doneBytes }) => doneBytes / sum)
}

/** How long the device has worked. */
function usedUsOf(world: World): number {
  return world.users.reduce((sum, { doneCount, isWrite, lengthBytes }) => {
    return sum + doneCount * costUs(costLineOf(isWrite ? DISK.write : DISK.read), lengthBytes)
  }, 0)
}

const SECOND_US = 1e6

test('two queues at 4 to 1 get 4 to 1 of the bytes', () => {
  const world = new World([{ shares: 800 }, { shares: 200 }]).run(SECOND_US)

  const [many, few] = partsOf(world)
  assert.ok(Math.abs(many! / few! / 4 - 1) < 0.05, `${many} to ${few}`)
})

test('queues of different requests share the time of the device, not their number', () => {
  const small = { shares: 500, lengthBytes: 4096 }
  const large = { shares: 500, lengthBytes: MIB, isWrite: true }
  const world = new World([small, large]).run(SECOND_US)

  const timesUs = world.users.map(({ doneCount, isWrite, lengthBytes }) => {
    return doneCount * costUs(costLineOf(isWrite ? DISK.write : DISK.read), lengthBytes)
  })
  assert.ok(Math.abs(timesUs[0]! / timesUs[1]! - 1) < 0.05, `${timesUs}`)
})

for (const turnUs of [3_000, 7_000]) {
  test(`threads that look once in ${turnUs / 1000} ms keep the device busy, and the shares`, () => {
    const late = new World(
      [
        { shares: 800, depth: 128 },
        { shares: 200, depth: 128 },
      ],
      { turnUs },
    ).run(SECOND_US)

    const [many, few] = partsOf(late)
    assert.ok(Math.abs(many! / few! / 4 - 1) < 0.05, `${many} to ${few}`)
    assert.ok(usedUsOf(late) > 0.9 * SECOND_US, `${usedUsOf(late)}`)
  })
}

test('a late thread takes no more ahead beside a latency class', () => {
  const reader = { isLatencySensitive: true, lengthBytes: 4096, depth: 1, thinkUs: 500 }
  const late = new World([reader, { depth: 128 }], { turnUs: 4_000 })

  for (let step = 0; step < 100; step++) {
    late.run(4_000)
    const { inFlightUs } = late.users[0]!.thread.scheduler
    assert.ok(inFlightUs < 2_000, `${inFlightUs}`)
  }
})

test('a thread that is late once takes no more ahead soon after', () => {
  const lookAhead = new LookAhead()
  lookAhead.begin(0)
  for (let count = 0; count < 15; count++) lookAhead.completed(100)

  lookAhead.look(2_000)
  const late = lookAhead.burstUs
  for (let nowUs = 2_100; nowUs < 8_000; nowUs += 100) {
    lookAhead.completed(100)
    lookAhead.look(nowUs)
  }

  assert.deepEqual([late, lookAhead.burstUs], [1_750, BURST_US_MIN])
})

test('a queue alone gets all the device, and nothing of it waits', () => {
  const alone = new World([{ depth: 8 }]).run(SECOND_US)
  const unscheduled = new World([{ depth: 8 }], { limits: null }).run(SECOND_US)

  assert.equal(alone.users[0]!.doneCount, unscheduled.users[0]!.doneCount)
  assert.equal(alone.queuedCount, 0)
})

test('who shares with a queue that asks for little gets the rest', () => {
  const idle = { shares: 1000, lengthBytes: 4096, depth: 1, thinkUs: 1000 }
  const world = new World([idle, { shares: 1, depth: 32 }]).run(SECOND_US)

  assert.ok(world.users[1]!.doneBytes > 0.9e9, `${world.users[1]!.doneBytes}`)
})

test('small reads of a latency class are not behind a writer of large blocks', () => {
  const reader = { isLatencySensitive: true, lengthBytes: 4096, depth: 1, thinkUs: 500 }
  const writer = { lengthBytes: MIB, isWrite: true, depth: 32 }
  const scheduled = new World([reader, writer]).run(3 * SECOND_US)
  const unscheduled = new World([reader, writer], { limits: null }).run(3 * SECOND_US)

  const [with99, without99] = [scheduled, unscheduled].map(({ users }) => users[0]!.latencyUs(99))
  assert.ok(with99! * 3 < without99!, `${with99} and ${without99}`)
  assert.ok(scheduled.users[1]!.doneBytes > 0.8 * unscheduled.users[1]!.doneBytes)
})

test('a latency class has no more than its shares where it asks for all', () => {
  const reader = { isLatencySensitive: true, shares: 100, lengthBytes: 4096, depth: 64 }
  const world = new World([reader, { shares: 900 }]).run(SECOND_US)

  const usOf = ({ doneCount, lengthBytes }: User): number =>
    doneCount * costUs(costLineOf(DISK.read), lengthBytes)
  const [few, many] = world.users.map(usOf)
  assert.ok(few! / many! < 0.2, `${few} to ${many}`)
})

test('threads share a device by the shares of their queues', () => {
  const world = new World([
    { shares: 800, thread: 0 },
    { shares: 200, thread: 1 },
  ]).run(SECOND_US)

  const [many, few] = partsOf(world)
  assert.ok(Math.abs(many! / few! / 4 - 1) < 0.1, `${many} to ${few}`)
})

test('shares that change while requests wait count as they are in the end', () => {
  const world = new World([
    { shares: 500, thread: 0 },
    { shares: 500, thread: 0 },
    { shares: 1000, thread: 1 },
  ])
  const changing = world.users[0]!
  for (let step = 0; step < 500; step++) {
    changing.shares = step % 2 === 0 ? 1 : 500
    world.run(700)
  }
  const before = world.users.map(({ doneBytes }) => doneBytes)

  world.run(SECOND_US)

  const [one, two, other] = world.users.map(({ doneBytes }, index) => doneBytes - before[index]!)
  assert.ok(Math.abs(one! / two! - 1) < 0.1, `${one} and ${two}`)
  assert.ok(Math.abs((one! + two!) / other! - 1) < 0.1, `${one! + two!} to ${other}`)
})

test('a thread gets what the others leave', () => {
  const world = new World([
    { shares: 800, thread: 0, stopUs: 300_000 },
    { shares: 200, thread: 1 },
  ]).run(SECOND_US)

  assert.ok(world.users[1]!.doneBytes > 0.7e9, `${world.users[1]!.doneBytes}`)
})

test('a thread that thinks keeps nothing of the device that it does not take', () => {
  const busy = { shares: 20, lengthBytes: 4096, depth: 16, thread: 0 }
  const thinker = { shares: 1000, lengthBytes: 4096, depth: 1, thinkUs: 5000, thread: 1 }
  const world = new World([busy, thinker]).run(SECOND_US)
  const unscheduled = new World([busy, thinker], { limits: null }).run(SECOND_US)

  assert.ok(usedUsOf(world) > 0.9 * usedUsOf(unscheduled), `${usedUsOf(world)}`)
  // It finds half of the burst free whenever it comes.
  assert.ok(world.users[1]!.latencyUs(100) < 1000, `${world.users[1]!.latencyUs(100)}`)
})

test('a device that falls behind is given no more than its window', () => {
  const slow = new World([{ shares: 500 }, { shares: 500 }], { pace: () => 20 })
  let mostUs = 0
  for (let step = 0; step < 1000; step++) {
    slow.run(1000)
    mostUs = Math.max(mostUs, slow.users[0]!.thread.scheduler.inFlightUs)
  }

  assert.ok(mostUs <= 2 * 1000 + 200, `${mostUs}`)
  assert.ok(slow.users.every(({ doneCount }) => doneCount > 100))
})

test('a cap holds a queue, and what it leaves is for others', () => {
  const cap = new Cap({ bytesPerSecondMax: 1e8, operationsPerSecondMax: Infinity })
  const counted = new Cap({ bytesPerSecondMax: Infinity, operationsPerSecondMax: 500 })
  const world = new World([{ cap }, { cap: counted, lengthBytes: 4096 }, { shares: 1 }]).run(
    SECOND_US,
  )

  const [bytes, operations, rest] = world.users
  assert.ok(Math.abs(bytes!.doneBytes / 1e8 - 1) < 0.05, `${bytes!.doneBytes}`)
  assert.ok(Math.abs(operations!.doneCount / 500 - 1) < 0.05, `${operations!.doneCount}`)
  assert.ok(rest!.doneBytes > 0.8e9, `${rest!.doneBytes}`)
  assert.ok(bytes!.limitedCount > 0 && operations!.limitedCount > 0)
  assert.equal(rest!.limitedCount, 0)
})

test('a cap holds on a device that was not measured', () => {
  const cap = new Cap({ bytesPerSecondMax: 1e7, operationsPerSecondMax: Infinity })
  const world = new World([{ cap }], { limits: null }).run(SECOND_US)

  assert.ok(Math.abs(world.users[0]!.doneBytes / 1e7 - 1) < 0.1)
})

test('nobody starves, whatever shares others have', () => {
  const world = new World([{ shares: 1000 }, { shares: 1, lengthBytes: MIB, depth: 1 }])
  world.run(10 * SECOND_US)

  assert.ok(world.users[1]!.latencyUs(100) < STARVATION_US + 50_000)
})

const load: fc.Arbitrary<Load> = fc.record({
  shares: fc.integer({ min: 20, max: 1000 }),
  isLatencySensitive: fc.boolean(),
  lengthBytes: fc.constantFrom(4096, 65_536, 262_144, MIB),
  isWrite: fc.boolean(),
  depth: fc.integer({ min: 1, max: 16 }),
  thinkUs: fc.constantFrom(0, 0, 100, 5000),
  thread: fc.integer({ min: 0, max: 2 }),
})

test('whatever queues ask for, the device is busy while anything waits, and all get on', () => {
  fc.assert(
    fc.property(fc.array(load, { minLength: 1, maxLength: 5 }), (loads) => {
      const world = new World(loads).run(SECOND_US / 2)
      const unscheduled = new World(loads, { limits: null }).run(SECOND_US / 2)

      const [usedUs, mostUs] = [usedUsOf(world), usedUsOf(unscheduled)]
      // Those of 1 MiB cost more than half the window: they wait while small ones end, so that these keep their shares.
      const fits = ({ lengthBytes }: Load): boolean => lengthBytes! < MIB
      if (loads.every(fits)) assert.ok(usedUs > 0.7 * mostUs, `${usedUs} of ${mostUs}`)
      // Four reads of 10 us that are answered 50 us later take two thirds of the device, one of 64 KiB more than half.
      const isBusy = loads.some((one) => fits(one) && one.thinkUs === 0 && one.depth! > 3)
      if (isBusy) assert.ok(usedUs > 0.25 * SECOND_US, `${usedUs}`)
      // Slow readers of a latency class may be before others for as long as that.
      if (world.users.some(({ doneCount }) => doneCount === 0)) world.run(STARVATION_US)
      assert.ok(world.users.every(({ doneCount }) => doneCount > 0))
    }),
    { numRuns: 40 },
  )
})

test('requests that are withdrawn at random leave the others in order', () => {
  const action = fc.tuple(fc.integer({ min: 0, max: 2 }), fc.nat(), fc.boolean())
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
      const issued: Request[] = []
      const words = new Int32Array(new SharedArrayBuffer(DEVICE_WORDS * 4))
      const port = { issue: (request: Request) => void issued.push(request) }
      const scheduler = new DeviceScheduler<Request>({ port, limits: DISK, words })
      const thread: Thread = { scheduler, wakeUs: Infinity }
      const users = [0, 1, 2].map((index) => new User({ isLatencySensitive: index === 0 }, thread))
      let [nowUs, offered, withdrawn, passed] = [1e9, 0, 0, 0]
      for (const [index, choice, isWithdrawal] of actions) {
        nowUs += 10
        const waiting = scheduler.queued()
        const victim = waiting[choice % Math.max(1, waiting.length)]
        if (isWithdrawal && victim !== undefined) {
          scheduler.withdraw(victim.load.flow, victim, nowUs)
          withdrawn++
        } else {
          offered++
          const request = new Request(users[index]!, nowUs)
          if (scheduler.offer(users[index]!.flow, request, nowUs)) passed++
        }
        scheduler.audit()
      }
      assert.equal(issued.length + passed + withdrawn + scheduler.queuedCount, offered)
      const heldCount = users.reduce((sum, user) => sum + user.heldCount, 0)
      assert.equal(heldCount, scheduler.queuedCount)
      assert.equal(new Set(issued).size, issued.length)
    }),
  )
})
