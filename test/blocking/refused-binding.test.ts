import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WorkerThreads } from '../../src/blocking/worker-threads.ts'
import { type Kernel, UringKernel } from '../../src/kernel/index.ts'
import { CpuSet, Topology } from '../../src/topology/index.ts'

const EPERM = 1

test('a kernel that refuses to bind threads is quoted with its own error', () => {
  const real = new UringKernel()
  const kernel = {
    processId: real.processId,
    getAffinity: (id: number, mask: Uint8Array) => real.getAffinity(id, mask),
    setAffinity: () => -EPERM,
  } as unknown as Kernel
  const [first] = Topology.read(real).allowed
  assert.ok(first)
  const nowhere = new CpuSet([{ ...first, id: 1000 }])
  const threads = new WorkerThreads({
    kernel,
    name: 'refused',
    cpus: [nowhere],
    heapMiB: undefined,
  })

  const start = (): unknown => threads.start(0, { onReply() {}, onEnd() {} })

  assert.throws(start, { code: 'EPERM', errno: -EPERM, syscall: 'sched_setaffinity' })
})
