import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { createTaskQueue, spawn, spawnInto } from '../../src/index.ts'
import { BufferedFile } from '../../src/io/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { Semaphore } from '../../src/sync/index.ts'
import { replayCommand, type Simulation, seeds, simulate } from '../../src/testing/index.ts'

async function messageOf(main: (simulation: Simulation) => unknown, seed = 1): Promise<string> {
  const error = await simulate({ seed, turnCountMax: 2000 }, main).then(
    () => null,
    (reason) => reason,
  )
  assert.equal(error?.code, 'ERR_SIMULATION_STUCK')
  return error.message
}

/** Runs with other variables of the environment. */
async function within<T>(variables: NodeJS.ProcessEnv, body: () => T): Promise<Awaited<T>> {
  const kept = { ...process.env }
  Object.assign(process.env, variables)
  try {
    return await body()
  } finally {
    process.env = kept
  }
}

test('ERR_SIMULATION_STUCK names each task, its queue, and where it waits for what', async () => {
  const message = await messageOf(async () => {
    const queue = createTaskQueue('serving')
    await using listener = await TcpListener.bind({ port: 0, host: '127.0.0.1' })
    const accepting = listener.accept()
    await using _client = await TcpStream.connect({
      host: '127.0.0.1',
      port: listener.address.port,
    })
    await using server = await accepting
    spawnInto(queue, () => server.read(), { name: 'reader' })
    const semaphore = new Semaphore(0)
    await semaphore.acquire(1)
  })

  const main = /task 'main' of queue 'default' waits to (.*) \((.*reports\.test\.[tj]s:\d+:\d+)\)/
  assert.match(message, main)
  assert.match(message, /task 'reader' of queue 'serving' waits to read \(.*reports\.test\.[tj]s/)
  assert.match(message, /in flight: .*RECV on /)
})

test('ERR_SIMULATION_STUCK says of a task without a wait that it waits for others', async () => {
  const message = await messageOf(async () => {
    const other = spawn(() => new Promise(() => {}), { name: 'other' })
    await other
  })

  assert.match(message, /task 'main' .* waits for another task/)
  assert.match(message, /task 'other' .* waits for another task/)
})

test('ERR_SIMULATION_STUCK suspects a timer that is not of percore', async () => {
  let timer: NodeJS.Timeout | undefined
  const message = await messageOf(
    () =>
      new Promise((resolve) => {
        timer = setTimeout(resolve, 60_000)
      }),
  )
  clearTimeout(timer)

  assert.match(message, /under way in Node itself, since it began: .*\d+ Timeout/)
})

test('ERR_SIMULATION_STUCK suspects I/O that is not of percore', async () => {
  const server = createServer()
  const message = await messageOf(async () => {
    server.listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('connection', resolve))
  })
  await new Promise((resolve) => server.close(resolve))

  assert.match(message, /under way in Node itself, since it began: .*TCPServerWrap/)
})

test('ERR_SIMULATION_STUCK suspects nothing of Node when there is nothing', async () => {
  const message = await messageOf(() => new Semaphore(0).acquire(1))

  assert.doesNotMatch(message, /Node itself|fake/)
})

test('ERR_SIMULATION_STUCK lists some of many tasks', async () => {
  const message = await messageOf(async () => {
    const semaphore = new Semaphore(0)
    for (let index = 0; index < 100; index++) spawn(() => semaphore.acquire(1))
    await semaphore.acquire(1)
  })

  assert.match(message, /and 89 more/)
  assert.ok(message.split('\n').length < 20)
})

test('a failed simulation says where it was begun', async () => {
  const error = await simulate(1, () => Promise.reject(new Error('no'))).catch((reason) => reason)

  assert.match(
    error.message,
    /of seed 1 that (dist\/)?test\/sim\/reports\.test\.[tj]s:\d+:\d+ began: no\n/,
  )
})

test('replayCommand() names the file and the test under vitest', async () => {
  const worker = { filepath: `${process.cwd()}/test/log.test.ts`, current: { name: 'a (b)' } }
  const globals = globalThis as { __vitest_worker__?: unknown }
  globals.__vitest_worker__ = worker
  try {
    assert.equal(
      await within({ VITEST: 'true' }, () => replayCommand(7)),
      "PERCORE_SEED=7 npx vitest run test/log.test.ts -t 'a \\(b\\)'",
    )
  } finally {
    delete globals.__vitest_worker__
  }
})

test('replayCommand() names the file and the test under jest', async () => {
  const state = { testPath: `${process.cwd()}/test/log.test.ts`, currentTestName: 'log' }
  const globals = globalThis as { expect?: unknown }
  globals.expect = { getState: () => state }
  try {
    assert.equal(
      await within({ JEST_WORKER_ID: '1' }, () => replayCommand(7)),
      'PERCORE_SEED=7 npx jest test/log.test.ts -t log',
    )
  } finally {
    delete globals.expect
  }
})

test('a failed simulation under vitest names the file that began it', async () => {
  const error = await within({ VITEST: 'true' }, () =>
    simulate(7, () => Promise.reject(new Error('no'))).catch((reason) => reason),
  )

  assert.match(
    error.message,
    /PERCORE_SEED=7 npx vitest run (dist\/)?test\/sim\/reports\.test\.[tj]s/,
  )
})

test('seeds() lists them, and just that of PERCORE_SEED where it is set', async () => {
  assert.deepEqual([...seeds(3)], [0, 1, 2])
  assert.deepEqual([...seeds(2, 10)], [10, 11])
  assert.deepEqual(await within({ PERCORE_SEED: '77' }, () => [...seeds(3)]), [77])
  assert.throws(() => seeds(-1), RangeError)
  assert.throws(() => seeds('3' as unknown as number), TypeError)
})

test('simulate() refuses a PERCORE_SEED that is no whole number', async () => {
  const run = (): Promise<void> => simulate(1, () => {})

  await within({ PERCORE_SEED: 'x' }, () => assert.rejects(run(), Error))
  await within({ PERCORE_SEED: '-1' }, () => assert.rejects(run(), RangeError))
})

test('PERCORE_TRACE writes the trace of a simulation to standard error', async (t) => {
  const write = t.mock.method(process.stderr, 'write', () => true)
  await within({ PERCORE_TRACE: '1' }, () =>
    simulate(1, async () => {
      await using _file = await BufferedFile.create('/tmp/a')
    }),
  )
  write.mock.restore()

  const lines = write.mock.calls.map(({ arguments: [line] }) => String(line))
  assert.ok(lines.some((line) => line.includes('OPENAT')))
})
