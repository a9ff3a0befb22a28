import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BlockingThreadEnd } from '../../src/blocking/protocol.ts'
import { WorkerThreads } from '../../src/blocking/worker-threads.ts'
import { type Kernel, UringKernel } from '../../src/kernel/index.ts'
import { CpuSet, Topology } from '../../src/topology/index.ts'
import { limited } from '../limits.ts'

const EPERM = 1

test(
  'a thread runs though the kernel refuses to bind it, whose error is told',
  limited(60_000),
  async () => {
    const real = new UringKernel()
    const kernel = {
      processId: real.processId,
      getAffinity: (id: number, mask: Uint8Array) => real.getAffinity(id, mask),
      setAffinity: () => -EPERM,
    } as unknown as Kernel
    const [first] = Topology.read(real).allowed
    const nowhere = new CpuSet([{ ...first!, id: 1000 }])
    const threads = new WorkerThreads({
      kernel,
      name: 'refused',
      cpus: [nowhere],
      heapMiB: undefined,
    })

    const ended = new Promise<BlockingThreadEnd>((resolve) => {
      const thread = threads.start(0, { onReply() {}, onEnd: resolve })
      thread.end()
    })
    // An idle thread keeps nobody alive.
    const awake = setInterval(() => {}, 1000)

    assert.deepEqual(await ended, { exitCode: 0, failure: null })
    clearInterval(awake)
    assert.deepEqual(
      threads.refusals.map((error) => ({ ...error, message: undefined })),
      [
        {
          code: 'EPERM',
          errno: -EPERM,
          syscall: 'sched_setaffinity',
          name: 'KernelError',
          message: undefined,
        },
      ],
    )
  },
)
