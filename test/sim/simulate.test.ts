import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { NO_QUEUE } from '../../src/base/index.ts'
import { currentOrNull, Waiter } from '../../src/executor/index.ts'
import { executor, needPreempt, spawn, yieldNow } from '../../src/index.ts'
import { BufferedFile } from '../../src/io/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { encodeAccept, Operation } from '../../src/ring/index.ts'
import { Semaphore } from '../../src/sync/index.ts'
import { type Simulation, simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { listenTcp } from '../contract/harness.ts'

const HOUR_MS = 3_600_000

test('simulate() resolves to what the program resolves to', async () => {
  assert.equal(await simulate(1, () => 42), 42)
  assert.equal(await simulate({ seed: 1 }, async () => 'later'), 'later')
})

test('simulate() passes virtual time, not real time', async () => {
  const startNs = process.hrtime.bigint()

  const elapsedNs = await simulate(1, async ({ executor }) => {
    const beganNs = executor.nowNs()
    await sleep(HOUR_MS)
    return executor.nowNs() - beganNs
  })

  assert.ok(elapsedNs >= HOUR_MS * 1e6)
  assert.ok(Number(process.hrtime.bigint() - startNs) < HOUR_MS * 1e6)
})

test('simulate() puts the executor of the thread back', async () => {
  const before = currentOrNull()

  await simulate(1, ({ executor: simulated }) => assert.equal(executor(), simulated))
  await simulate(1, () => Promise.reject(new Error('no'))).catch(() => {})

  assert.equal(currentOrNull(), before)
})

test('simulate() rejects with ERR_SIMULATION_FAILED, the cause, the seed and the command', async () => {
  const cause = new Error('a planted failure')

  const error = await simulate(1234, () => Promise.reject(cause)).catch((reason) => reason)

  assert.equal(error.code, 'ERR_SIMULATION_FAILED')
  assert.equal(error.cause, cause)
  assert.match(error.message, /seed 1234/)
  assert.match(error.message, /PERCORE_SEED=1234 node .*simulate\.test\.js/)
})

test('simulate() rejects with ERR_SIMULATION_STUCK when nothing can happen any more', async () => {
  const semaphore = new Semaphore(0)
  const stuck = simulate(1, async () => {
    await sleep(10)
    await semaphore.acquire(1)
  })

  await assert.rejects(stuck, { code: 'ERR_SIMULATION_STUCK' })
})

test('simulate() rejects with ERR_SIMULATION_STUCK when a program never ends', async () => {
  const endless = simulate({ seed: 1, turnCountMax: 20 }, async () => {
    for (;;) await yieldNow()
  })

  await assert.rejects(endless, { code: 'ERR_SIMULATION_STUCK' })
})

test('simulate() rejects when a descriptor is left open, unless told not to look', async () => {
  const leak = async (): Promise<void> => {
    await BufferedFile.create('/tmp/a')
  }

  await assert.rejects(simulate(1, leak), { code: 'ERR_SIMULATION_FAILED' })
  await simulate({ seed: 1, checkDescriptors: false }, leak)
})

test('simulate() rejects when a buffer is not released, if told to look', async () => {
  const leak = ({ executor }: { executor: { memory: unknown } }): void => {
    ;(executor.memory as { allocate(bytes: number): unknown }).allocate(4096)
  }

  await simulate(1, leak)
  await assert.rejects(simulate({ seed: 1, checkBuffers: true }, leak), {
    code: 'ERR_SIMULATION_FAILED',
  })
})

test('simulate() rejects when a task fails and nobody awaits it', async () => {
  const program = fileURLToPath(new URL('./unhandled.js', import.meta.url))

  const { status, stdout } = spawnSync(process.execPath, [program], { encoding: 'utf8' })

  assert.deepEqual([status, stdout], [0, 'ERR_SIMULATION_FAILED nobody cares\n'])
})

test('simulate() refuses a second simulation of the same thread', async () => {
  await simulate(1, async () => {
    await assert.rejects(
      simulate(2, () => {}),
      { code: 'ERR_EXECUTOR_EXISTS' },
    )
  })
})

test('simulate() waits for an operation that nobody awaits any more', async () => {
  await simulate(1, async () => {
    const file = await BufferedFile.create('/tmp/a')
    void file.close()
  })
})

test('simulate() cancels what still waits when the program has ended', async () => {
  const result = await simulate({ seed: 1, checkDescriptors: false }, async () => {
    const listener = await TcpListener.bind({ port: 0, host: '127.0.0.1' })
    void listener.accept()
    return 'ended'
  })

  assert.equal(result, 'ended')
})

test('needPreempt() becomes true in a busy loop, which makes no system call', async () => {
  for (let seed = 0; seed < 10; seed++) {
    await simulate(seed, async () => {
      let passes = 0
      while (!needPreempt()) passes++
      assert.ok(passes < 10_000)
      await yieldNow()
    })
  }
})

test('a task that asks needPreempt() lets a timer in', async () => {
  await simulate(1, async () => {
    let hasWoken = false
    const sleeper = spawn(async () => {
      await sleep(5)
      hasWoken = true
    })
    while (!hasWoken) if (needPreempt()) await yieldNow()
    await sleeper
  })
})

test('simulate() arranges the disk and shows what became of it', async () => {
  const kept = await simulate(
    { seed: 1, arrange: ({ files }) => files.writeFile('/tmp/a', Buffer.from('before')) },
    async ({ kernel }) => {
      await using file = await BufferedFile.open('/tmp/a', { write: true })
      await file.write(Buffer.from('AF'), 0)
      return kernel.files.readFile('/tmp/a')
    },
  )

  assert.equal(Buffer.from(kept!).toString(), 'AFfore')
})

/** Accepts again and again with one operation. The bug: it forgets that such an operation may end. */
class ForgetfulAccept extends Operation {
  readonly fds: number[] = []
  waiter: Waiter<void> | null = null

  override complete(result: number): void {
    if (result >= 0) this.fds.push(result)
    this.waiter?.fulfil(undefined)
  }

  override run(): void {}
}

async function acceptThree({ executor, kernel }: Simulation): Promise<void> {
  const { main } = executor.io
  const listener = listenTcp(kernel)
  const target = { fd: listener.fd, registered: false }
  const accept = new ForgetfulAccept(NO_QUEUE)
  encodeAccept(main.sqes, main.begin(), { target, multishot: true })
  main.commitBackground(accept)
  const clients: TcpStream[] = []
  for (let count = 1; count <= 3; count++) {
    clients.push(await TcpStream.connect({ host: '127.0.0.1', port: listener.port }))
    while (accept.fds.length < count) {
      accept.waiter = new Waiter<void>(executor)
      await accept.waiter.promise
    }
  }
  for (const client of clients) await client.close()
  for (const fd of [...accept.fds, listener.fd]) kernel.closeFd(fd)
  executor.io.cancel(accept)
}

test('a program that forgets the end of a multishot operation is found out by some seed', async () => {
  const codes: string[] = []
  for (let seed = 0; seed < 20; seed++) {
    const run = simulate({ seed, faults: { multishotEnd: 0.1 } }, acceptThree)
    codes.push(
      await run.then(
        () => 'passed',
        (error) => error.code,
      ),
    )
  }
  const unlucky = codes.indexOf('ERR_SIMULATION_STUCK')

  assert.ok(unlucky >= 0)
  assert.ok(codes.includes('passed'))
  await assert.rejects(simulate({ seed: unlucky, faults: { multishotEnd: 0.1 } }, acceptThree), {
    code: 'ERR_SIMULATION_STUCK',
  })
})

test('PERCORE_SEED replaces the seed, and replays a planted bug that some seed finds', () => {
  const program = fileURLToPath(new URL('./planted-bug.js', import.meta.url))
  const env = { ...process.env, PERCORE_SEED: '' }
  const found = spawnSync(process.execPath, [program], { encoding: 'utf8', env })
  assert.equal(found.status, 1, found.stderr)
  const seed = /PERCORE_SEED=(\d+)/.exec(found.stderr)?.[1]
  assert.ok(seed !== undefined, found.stderr)

  const replayed = spawnSync(process.execPath, [program], {
    encoding: 'utf8',
    env: { ...env, PERCORE_SEED: seed },
  })

  assert.equal(replayed.status, 1)
  assert.equal(replayed.stdout, found.stdout)
})

test('a simulated program is refused the look-up of a name, which would be a real one', async () => {
  await simulate(1, async () => {
    const connecting = TcpStream.connect({ host: 'database.internal', port: 1 })

    await assert.rejects(connecting, { code: 'ERR_UNSUPPORTED' })
  })
})
