/** Where less memory can be locked than there is I/O memory, as much of it is registered as can be. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { attachExecutor, createTaskQueue, spawnInto } from '../../src/index.ts'
import {
  ENOMEM,
  IORING_REGISTER_BUFFERS,
  IORING_UNREGISTER_BUFFERS,
  type Kernel,
} from '../../src/kernel/index.ts'
import { SimKernel } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { reactorOf } from '../reactor-of.ts'

const MIB = 2 ** 20
const VECTOR_WORDS = 4
const LENGTH_WORD = 2

/** The kernel refuses to lock more than that for all rings together, as it does for users with a limit. */
function limitLocked(t: TestContext, kernel: Kernel, limitBytes: number): Map<number, number> {
  const lockedBytes = new Map<number, number>()
  const register = kernel.register.bind(kernel)
  t.mock.method(kernel, 'register', (...args: Parameters<Kernel['register']>): number => {
    const [fd, opcode, argument, count] = args
    if (opcode === IORING_UNREGISTER_BUFFERS) lockedBytes.delete(fd)
    if (opcode !== IORING_REGISTER_BUFFERS) return register(...args)
    const words = argument as Uint32Array
    let bytes = 0
    for (let index = 0; index < count; index++) bytes += words[index * VECTOR_WORDS + LENGTH_WORD]!
    const others = [...lockedBytes].filter(([other]) => other !== fd)
    const sumBytes = others.reduce((sum, [, locked]) => sum + locked, bytes)
    if (sumBytes > limitBytes) return -ENOMEM
    const result = register(...args)
    if (result >= 0) lockedBytes.set(fd, bytes)
    return result
  })
  return lockedBytes
}

for (const name of ['uring', 'sim'] as const) {
  test(`16 MiB of I/O memory are registered in part where 8 MiB can be locked [${name}]`, async (t) => {
    const options = name === 'sim' ? { kernel: new SimKernel({ seed: 1 }) } : {}
    const executor = attachExecutor({ ioMemoryBytes: 16 * MIB, ...options })
    t.after(() => executor.close())
    const locked = limitLocked(t, reactorOf(executor).kernel, 8 * MIB)
    const urgent = createTaskQueue('urgent', { latency: { maxMs: 5 } })
    await spawnInto(urgent, () => sleep(0.1))

    executor.io.registerMemory()

    // Powers of two, and half a MiB left for what sockets need.
    const { main, latency } = reactorOf(executor)
    const { registeredBytes, isRegistered } = executor.stats().ioMemory
    assert.deepEqual([registeredBytes, isRegistered], [7.5 * MIB, false])
    assert.deepEqual([main.registeredBufferCount, latency.registeredBufferCount], [4, 0])
    assert.deepEqual([...locked.values()], [7.5 * MIB])
    assert.equal(reactorOf(executor).registered.error, -ENOMEM)
  })

  test(`each further ring gets as many of the pieces as can be locked [${name}]`, async (t) => {
    const options = name === 'sim' ? { kernel: new SimKernel({ seed: 1 }) } : {}
    const executor = attachExecutor({ ioMemoryBytes: 16 * MIB, ...options })
    t.after(() => executor.close())
    const limitBytes = 8 * MIB
    const locked = limitLocked(t, reactorOf(executor).kernel, limitBytes)
    executor.io.registerMemory()
    const { main } = reactorOf(executor)
    // As if others of the user had ended meanwhile.
    locked.set(main.memory.fd, 2 * MIB)

    const urgent = createTaskQueue('urgent', { latency: { maxMs: 5 } })
    await spawnInto(urgent, () => sleep(0.1))

    // The first of 4, 2, 1 and half a MiB, with the headroom beside it.
    assert.equal(reactorOf(executor).latency.registeredBufferCount, 1)
  })

  test(`all of the I/O memory is one registered buffer where it can be locked [${name}]`, async (t) => {
    const options = name === 'sim' ? { kernel: new SimKernel({ seed: 1 }) } : {}
    const executor = attachExecutor({ ioMemoryBytes: 4 * MIB, ...options })
    t.after(() => executor.close())
    limitLocked(t, reactorOf(executor).kernel, 8 * MIB)

    executor.io.registerMemory()

    const { registeredBytes, isRegistered } = executor.stats().ioMemory
    assert.deepEqual([registeredBytes, isRegistered], [4 * MIB, true])
    assert.equal(reactorOf(executor).main.registeredBufferCount, 1)
    assert.equal(reactorOf(executor).registered.error, 0)
  })
}
