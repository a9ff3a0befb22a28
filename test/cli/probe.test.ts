import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CAPABILITY_WORDS } from '../../src/kernel/capabilities.ts'
import {
  EINVAL,
  ENOMEM,
  ENOSYS,
  EPERM,
  type Kernel,
  probeKernel,
  UringKernel,
} from '../../src/kernel/index.ts'
import { shareCapabilities } from '../../src/kernel/probe.ts'
import { SimKernel } from '../../src/sim/index.ts'

for (const [name, create] of [
  ['uring', () => new UringKernel()],
  ['sim', () => new SimKernel({ seed: 1 })],
] as const) {
  test(`probeKernel() finds operations and setup flags [${name}]`, () => {
    const capabilities = probeKernel(create())

    assert.equal(capabilities.isAvailable, true)
    assert.equal(capabilities.refusal, null)
    assert.equal(capabilities.hasBufferRings, true)
    for (const opcode of ['NOP', 'READ', 'ACCEPT', 'SOCKET']) {
      assert.ok(capabilities.opcodes.includes(opcode), opcode)
    }
    assert.ok(capabilities.setupFlags.includes('CLAMP'))
  })
}

test('probeKernel() answers with a frozen value', () => {
  const capabilities = probeKernel(new UringKernel())

  assert.ok(Object.isFrozen(capabilities))
  assert.ok(Object.isFrozen(capabilities.opcodes))
})

test('probeKernel() closes every ring that it set up', () => {
  const kernel = new UringKernel()
  const open: number[] = []
  const watched = watch(kernel, {
    setupRing(setup) {
      const ring = kernel.setupRing(setup)
      if (typeof ring !== 'number') open.push(ring.fd)
      return ring
    },
    closeRing(memory) {
      open.splice(open.indexOf(memory.fd), 1)
      kernel.closeRing(memory)
    },
  })

  const { setupFlags } = probeKernel(watched)

  assert.ok(setupFlags.length > 0)
  assert.deepEqual(open, [])
})

for (const [errno, code, cause] of [
  [EPERM, 'EPERM', 'policy'],
  [ENOSYS, 'ENOSYS', 'absent'],
  [ENOMEM, 'ENOMEM', 'memlock'],
  [EINVAL, 'EINVAL', 'other'],
] as const) {
  test(`probeKernel() answers ${cause} when a ring is refused with ${code}`, () => {
    const kernel = watch(new SimKernel({ seed: 1 }), { setupRing: () => -errno })

    const { isAvailable, refusal, opcodes } = probeKernel(kernel)

    assert.equal(isAvailable, false)
    assert.deepEqual(refusal, { code, cause, sysctlValue: undefined })
    assert.deepEqual(opcodes, [])
  })
}

/** The same kernel with some calls replaced. */
function watch(kernel: Kernel, replaced: Partial<Kernel>): Kernel {
  return new Proxy(kernel, {
    get(target, name) {
      const value = Reflect.get(replaced, name) ?? Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

for (const options of [
  {},
  { hasNoSqArray: false },
  { hasNoSqArray: false, hasDeferTaskrun: false, hasFtruncate: false },
]) {
  test(`a simulated kernel says what trying it finds: ${JSON.stringify(options)}`, () => {
    const kernel = new SimKernel({ seed: 1, ...options })

    const { opcodes, setupFlags, features, ...rest } = kernel.capabilities()

    const found = probeKernel(kernel)
    assert.deepEqual(setupFlags, found.setupFlags)
    assert.deepEqual(opcodes, found.opcodes)
    assert.deepEqual(features, found.features)
    assert.equal(rest.hasBufferRings, found.hasBufferRings)
    assert.equal(rest.hasRegisteredRingFd, found.hasRegisteredRingFd)
    assert.equal(rest.hasMultishotReceive, found.hasMultishotReceive)
    assert.equal(rest.hasAddressedSend, found.hasAddressedSend)
    assert.ok(Object.isFrozen(kernel.capabilities()))
  })
}

test('the first thread that asks tries the kernel, and others go by what it has found', () => {
  const shared = new Int32Array(new SharedArrayBuffer(CAPABILITY_WORDS * 4))
  const kernel = new UringKernel()
  let ringCount = 0
  const watched = watch(kernel, {
    setupRing(setup) {
      ringCount++
      return kernel.setupRing(setup)
    },
  })

  const first = shareCapabilities(watched, shared, undefined)
  const triedCount = ringCount
  const second = shareCapabilities(watched, shared, undefined)

  assert.ok(triedCount > 0)
  assert.equal(ringCount, triedCount)
  assert.deepEqual(second, first)
})

test('a refusal is not kept: the next that asks tries again', () => {
  const shared = new Int32Array(CAPABILITY_WORDS)
  const kernel = new SimKernel({ seed: 1 })
  const refusing = watch(kernel, { setupRing: () => -ENOMEM })

  const refused = shareCapabilities(refusing, shared, undefined)
  const granted = shareCapabilities(kernel, shared, undefined)

  assert.equal(refused.refusal?.cause, 'memlock')
  assert.equal(granted.isAvailable, true)
})
