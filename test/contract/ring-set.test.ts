import assert from 'node:assert/strict'
import { NO_QUEUE } from '../../src/base/index.ts'
import {
  createSlot,
  EBADF,
  IORING_REGISTER_FILES_UPDATE,
  type Kernel,
  type RingRole,
} from '../../src/kernel/index.ts'
import { RegisteredFiles } from '../../src/reactor/index.ts'
import { RingSet } from '../../src/reactor/ring-set.ts'
import { encodeNop, Operation, type Ring } from '../../src/ring/index.ts'
import { contract } from '../../src/testing/index.ts'
import { lacksRegisteredFiles } from '../needs.ts'
import { nowhere, openTcp } from './harness.ts'

class Counted extends Operation {
  count = 0

  constructor() {
    super(NO_QUEUE)
  }

  override complete(): void {
    this.count++
  }

  override run(): void {}
}

function createSet(kernel: Kernel): RingSet & Disposable {
  const set = new RingSet({ kernel, control: createSlot(), host: nowhere(kernel), entryCount: 8 })
  return Object.assign(set, {
    [Symbol.dispose]: () => {
      for (const { memory } of set) kernel.closeRing(memory)
    },
  })
}

/** Two files. A ring's own descriptor is none that another would register. */
function openSockets(kernel: Kernel): Disposable & { readonly fds: readonly number[] } {
  const fds = [openTcp(kernel), openTcp(kernel)]
  return {
    fds,
    [Symbol.dispose]: () => {
      for (const fd of fds) kernel.closeFd(fd)
    },
  }
}

/** Has the table of `ring` take nothing; what is returned ends that. */
function refuseUpdates(kernel: Kernel, ring: Ring): () => void {
  const register = kernel.register.bind(kernel)
  kernel.register = (...args) => {
    const isRefused = args[0] === ring.memory.fd && args[1] === IORING_REGISTER_FILES_UPDATE
    return isRefused ? -EBADF : register(...args)
  }
  return () => {
    kernel.register = register
  }
}

contract('RingSet finds and reaps what was submitted to whichever ring', (kernel) => {
  using set = createSet(kernel)
  const rings = [set.main, set.add('notify')]
  const operations = rings.map((ring) => {
    const operation = new Counted()
    encodeNop(ring.sqes, ring.begin())
    ring.commit(operation)
    return operation
  })

  const found = operations.map((operation) => set.ringOf(operation))
  const inFlight = set.inFlight()
  for (const ring of set) ring.submit()
  const reaped = set.reap()

  assert.deepEqual(found, rings)
  assert.deepEqual(inFlight, operations)
  assert.equal(reaped, 2)
  assert.deepEqual(
    operations.map(({ count }) => count),
    [1, 1],
  )
  assert.equal(set.inFlightCount, 0)
  assert.equal(set.ringOf(operations[0]!), null)
  set.audit()
})

contract(
  'RingSet makes a ring once it is asked for, and takes no second one of a role',
  (kernel) => {
    using set = createSet(kernel)

    const before = set.find('notify')
    const made = set.add('notify')

    assert.equal(before, null)
    assert.equal(set.find('notify'), made)
    assert.equal(made.index, 1)
    assert.equal(set.size, 2)
    assert.throws(() => set.add('notify'), { code: 'ERR_ASSERTION' })
  },
)

contract(
  'each ring names a file by a table of its own',
  (kernel) => {
    using set = createSet(kernel)
    using sockets = openSockets(kernel)
    const second = set.add('notify')
    const files = new RegisteredFiles(kernel, set, { letsFilesGo: true })
    const known = files.add(sockets.fds[0]!)
    const restore = refuseUpdates(kernel, second)
    const late = files.add(sockets.fds[1]!)
    restore()

    const third = set.add('busyPoll')
    files.attach(third)

    const isNamed = (index: number): boolean[] =>
      Array.from(set, (ring) => files.target(ring, 99, index).registered)
    assert.deepEqual(isNamed(known), [true, false, true])
    assert.deepEqual(isNamed(late), [true, false, true])
    assert.deepEqual(files.target(second, 99, late), { fd: 99, registered: false })
    files.audit()
  },
  lacksRegisteredFiles,
)

contract(
  'a place that one table keeps a file in is not given again',
  (kernel) => {
    using set = createSet(kernel)
    using sockets = openSockets(kernel)
    const second = set.add('notify')
    const files = new RegisteredFiles(kernel, set, { letsFilesGo: true })
    const index = files.add(sockets.fds[0]!)
    const restore = refuseUpdates(kernel, second)

    files.remove(index)
    restore()

    assert.notEqual(files.add(sockets.fds[0]!), index)
    files.audit()
  },
  lacksRegisteredFiles,
)

const ROLES: readonly RingRole[] = ['park', 'notify', 'busyPoll']
contract('a ring is set up for every role', (kernel) => {
  using set = createSet(kernel)

  for (const role of ROLES) if (role !== 'park') set.add(role)

  assert.deepEqual(
    Array.from(set, ({ role }) => role),
    ROLES,
  )
  set.audit()
})
