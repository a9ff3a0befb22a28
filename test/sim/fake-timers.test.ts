import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { mock, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { attachExecutor, spawn } from '../../src/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { SimKernel, simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'

const FAKED = [
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout',
  'clearImmediate',
] as const

/** As sinon, and with it jest and vitest, do: nothing is called, the clock stands still. */
function fakeGlobals(): () => void {
  const kept = new Map<string, PropertyDescriptor>()
  const fake = (target: object, name: string, value: unknown): void => {
    kept.set(name, Object.getOwnPropertyDescriptor(target, name)!)
    Object.defineProperty(target, name, { configurable: true, writable: true, value })
  }
  for (const name of FAKED) fake(globalThis, name, () => ({ id: 1 }))
  const { now } = performance
  performance.now = () => 0
  const realNow = Date.now
  Date.now = () => 0
  return () => {
    for (const [name, descriptor] of kept) Object.defineProperty(globalThis, name, descriptor)
    performance.now = now
    Date.now = realNow
  }
}

test('simulate() runs while the global timers are fakes', async () => {
  const restore = fakeGlobals()
  try {
    assert.equal(await simulate(1, () => sleep(1000).then(() => 'slept')), 'slept')
  } finally {
    restore()
  }
})

test('simulate() runs while node:test mocks timers', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'setImmediate', 'Date'] })
  try {
    assert.equal(await simulate(1, () => sleep(1000).then(() => 'slept')), 'slept')
  } finally {
    mock.timers.reset()
  }
})

test('an executor of a simulated kernel waits for Node while the global timers are fakes', async () => {
  const attached = attachExecutor({ kernel: new SimKernel({ seed: 1 }) })
  const restore = fakeGlobals()
  try {
    await using listener = await TcpListener.bind({ port: 7000 })
    const accepting = listener.accept()
    // Rounds in which nothing happens but in Node itself, after which it looks from time to time.
    for (let round = 0; round < 100; round++) await readFile(fileURLToPath(import.meta.url))

    await using client = await TcpStream.connect({ port: 7000 })
    await using server = await accepting

    assert.equal(client.localAddress.port, server.remoteAddress?.port)
  } finally {
    restore()
    await attached.close()
  }
})

test('close() resolves while the global timers are fakes', async () => {
  for (const kernel of [undefined, new SimKernel({ seed: 1 })]) {
    const attached = attachExecutor(kernel === undefined ? {} : { kernel })
    const restore = fakeGlobals()
    try {
      const left = spawn(() => sleep(1000))
      await attached.close()

      await assert.rejects(left, { code: 'ERR_EXECUTOR_CLOSED' })
    } finally {
      restore()
    }
  }
})

test('ERR_SIMULATION_STUCK suspects fakes of setTimeout', async () => {
  const restore = fakeGlobals()
  try {
    const stuck = simulate(1, () => new Promise((resolve) => setTimeout(resolve, 10)))

    await assert.rejects(stuck, {
      code: 'ERR_SIMULATION_STUCK',
      message: /setTimeout\(\) is a fake/,
    })
  } finally {
    restore()
  }
})

test('simulate() refuses fakes that were there when it was imported', () => {
  const module = new URL('../../src/testing/index.js', import.meta.url).href
  const program = `
    const { mock } = await import('node:test')
    mock.timers.enable({ apis: ['setTimeout', 'setImmediate'] })
    const { simulate } = await import('${module}')
    const error = await simulate(1, () => {}).catch((reason) => reason)
    console.log(error.code)
  `

  const args = ['--input-type=module', '--eval', program]
  const { stdout } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    cwd: fileURLToPath(new URL('.', import.meta.url)),
  })

  assert.equal(stdout, 'ERR_UNSUPPORTED\n')
})
