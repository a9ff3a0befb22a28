import assert from 'node:assert/strict'
import { test } from 'node:test'
import { currentOrNull } from '../../src/executor/index.ts'
import { attachExecutor, needPreempt, spawn } from '../../src/index.ts'
import { BufferedFile } from '../../src/io/index.ts'
import { TcpListener } from '../../src/net/index.ts'
import { SimKernel, simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { runSeed } from './program.ts'

const CLOSED = { code: 'ERR_EXECUTOR_CLOSED' }

/** Lets code that hangs go on, from outside. */
function createSwitch(): { readonly pressed: Promise<void>; press: () => void } {
  let press = (): void => {}
  const pressed = new Promise<void>((resolve) => {
    press = resolve
  })
  return { pressed, press }
}

test('what a hung program does late fails, and does not touch the simulation that runs', async () => {
  const { pressed, press } = createSwitch()
  let late: Promise<void> | null = null
  const hung = simulate(1, async () => {
    late = pressed.then(async () => {
      await assert.rejects(
        spawn(() => {}),
        CLOSED,
      )
      assert.throws(() => attachExecutor(), CLOSED)
      await assert.rejects(sleep(1), CLOSED)
      await assert.rejects(BufferedFile.create('/tmp/late'), CLOSED)
      await assert.rejects(TcpListener.bind({ port: 0, host: '127.0.0.1' }), CLOSED)
      await assert.rejects(
        simulate(2, () => {}),
        CLOSED,
      )
      assert.equal(typeof needPreempt(), 'boolean')
    })
    await late
  })
  await assert.rejects(hung, { code: 'ERR_SIMULATION_STUCK' })

  const found = await simulate(2, async ({ kernel }) => {
    press()
    await late
    await sleep(10)
    return kernel.files.list('/tmp')
  })

  assert.deepEqual(found, [])
})

test('code beside a simulation has its own executor, or none', async () => {
  const { pressed, press } = createSwitch()
  const running = simulate(1, async ({ executor }) => {
    assert.equal(currentOrNull(), executor)
    press()
    for (let round = 0; round < 100; round++) await sleep(1)
    assert.equal(currentOrNull(), executor)
  })
  await pressed

  assert.equal(currentOrNull(), null)
  assert.equal(needPreempt(), false)
  await running
})

test('simulations beside each other run as each of them alone', async () => {
  const trace = async (seed: number): Promise<string[]> => {
    const lines: string[] = []
    await runSeed(seed, (line) => lines.push(line))
    return lines
  }
  const alone = [await trace(21), await trace(22)]

  const together = await Promise.all([trace(21), trace(22)])

  assert.deepEqual(together, alone)
})

test('simulate() rejects with what is waited for when its signal is aborted', async () => {
  const controller = new AbortController()
  const { signal } = controller
  const reason = new Error('the test took too long')
  const endless = simulate({ seed: 1, signal }, async () => {
    for (let round = 0; ; round++) {
      await sleep(1)
      if (round === 10) controller.abort(reason)
    }
  })

  await assert.rejects(endless, { code: 'ERR_SIMULATION_FAILED', cause: reason })
  await assert.rejects(
    simulate({ seed: 1, signal }, () => sleep(1)),
    { cause: reason },
  )
})

test('a simulated program is refused what was made outside of it', async (t) => {
  const kernel = new SimKernel()
  const outer = attachExecutor({ kernel, ioMemoryBytes: 65_536 })
  t.after(() => outer.close())
  const file = await BufferedFile.create('/tmp/outer')

  await simulate(1, async () => {
    await assert.rejects(file.write(Buffer.from('data'), 0), { code: 'ERR_UNSUPPORTED' })
  })

  assert.equal(kernel.files.readFile('/tmp/outer')!.length, 0)
  await file.close()
})

test('simulate() rejects options of the wrong kind', async () => {
  const run = (options: object): Promise<unknown> => simulate(options, () => {})

  for (const options of [{ trace: true }, { arrange: 1 }, { signal: {} }, { checkBuffers: 1 }]) {
    await assert.rejects(run(options), TypeError)
  }
  await assert.rejects(run({ virtualGlobal: true }), TypeError)
  await assert.rejects(run({ turnCountMax: 0 }), RangeError)
  await assert.rejects(simulate(1, undefined as unknown as () => void), TypeError)
})
