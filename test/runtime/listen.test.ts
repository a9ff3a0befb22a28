/** Ports of a runtime, on the threads of this process. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { executor } from '../../src/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import {
  type ConnectionFailure,
  type PortOptions,
  type PortOutage,
  Runtime,
  type RuntimeOptions,
} from '../../src/runtime/index.ts'
import { CpuSet } from '../../src/topology/index.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(60_000)
const module = new URL('./connections.js', import.meta.url)
const work = new URL('./work.js', import.meta.url)

after(() => executor().close())

/** Two drivers for I/O and one for tasks, on one core. */
function startThree(options: RuntimeOptions = {}): Promise<Runtime> {
  const [cpu] = CpuSet.allowed()
  return Runtime.start({
    cpus: CpuSet.allowed().filter(({ id }) => id === cpu!.id),
    layout: ({ cpus }) => [
      { kind: 'io', cpus },
      { kind: 'io', cpus },
      { kind: 'task', cpus },
    ],
    executor: { ioMemoryBytes: 256 * 1024 },
    onExit: () => {},
    ...options,
  })
}

/** A connection, and the first line that it was sent. */
async function connect(port: number): Promise<{ stream: TcpStream; line: string }> {
  const stream = await TcpStream.connect({ port })
  return { stream, line: await readLine(stream) }
}

async function readLine(stream: TcpStream): Promise<string> {
  let text = ''
  while (!text.endsWith('\n')) {
    const chunk = await stream.read()
    if (chunk === null) return text
    text += new TextDecoder().decode(chunk)
  }
  return text.trim()
}

/** Who serves a connection of its own; tries again while the port is closed, or a connection reset. */
async function whoServes(port: number): Promise<string> {
  for (;;) {
    try {
      const { stream, line } = await connect(port)
      await stream.close()
      if (line !== '') return line
    } catch (error) {
      const { code } = error as { code: string }
      assert.ok(['ECONNREFUSED', 'ECONNRESET'].includes(code), code)
      await new Promise(setImmediate)
    }
  }
}

async function untilServedBy(port: number, names: readonly string[]): Promise<void> {
  const missing = new Set(names)
  while (missing.size > 0) missing.delete(await whoServes(port))
}

for (const accept of ['shared', 'reusePort'] as const) {
  test(
    `listen() opens one port of the kernel's choice on all I/O drivers [${accept}]`,
    LIMIT,
    async () => {
      await using runtime = await startThree()
      const listener = await runtime.listen({ port: 0, module, accept })
      const { port } = listener.address

      await untilServedBy(port, ['io-0.0', 'io-0.1'])

      assert.ok(port > 0)
      assert.deepEqual(
        listener.drivers.map(({ name }) => name),
        ['io-0.0', 'io-0.1'],
      )
      const { stream } = await connect(port)
      await stream.write(new TextEncoder().encode('hello\n'))
      assert.equal(await readLine(stream), 'hello')
      await stream.close()
    },
  )

  test(`a driver that ends and is restarted listens again [${accept}]`, LIMIT, async () => {
    await using runtime = await startThree({ restart: { limit: 100, backoffMs: 1 } })
    const { address } = await runtime.listen({ port: 0, module, accept })

    for (const name of ['io-0.0', 'io-0.1', 'io-0.0']) {
      const driver = runtime.driver(name)
      await assert.rejects(driver.run({ module: work, name: 'exit' }), { code: 'ERR_SHARD_FAILED' })
      await untilServedBy(address.port, ['io-0.0', 'io-0.1'])
    }

    assert.equal(runtime.driver('io-0.0').shard.generation, 3)
  })

  test(`a port whose drivers have all ended is opened again [${accept}]`, LIMIT, async () => {
    await using runtime = await startThree({ restart: { limit: 100, backoffMs: 1 } })
    const { address } = await runtime.listen({ port: 0, module, accept })

    await Promise.all([0, 1].map((index) => runtime.driver(`io-0.${index}`).shard.terminate()))

    await untilServedBy(address.port, ['io-0.0', 'io-0.1'])
  })
}

test('a port whose drivers have ended for good is told to who listens', LIMIT, async () => {
  const outages: PortOutage[] = []
  const onOutage = (outage: PortOutage): void => void outages.push(outage)
  await using runtime = await startThree()
  const listener = await runtime.listen({ port: 0, module, onOutage })
  const { address } = listener
  assert.equal(listener.isListening, true)
  const [first, second] = listener.drivers

  await first!.shard.terminate()
  assert.deepEqual([listener.isListening, outages], [true, []])
  await second!.shard.terminate()

  assert.deepEqual([listener.isListening, listener.isClosed], [false, true])
  assert.deepEqual(outages, [{ address, isFinal: true }])
  await assert.rejects(TcpStream.connect({ port: address.port }), { code: 'ECONNREFUSED' })
})

test(
  'an outage that nobody asks for is a warning; the stop of a runtime is none',
  LIMIT,
  async () => {
    const warnings: string[] = []
    const hear = ({ name, message }: Error): void => {
      if (name === 'PortOutage') warnings.push(message)
    }
    process.on('warning', hear)
    try {
      const stopped = await startThree()
      await stopped.listen({ port: 0, module })
      await stopped.stop()
      await using runtime = await startThree()
      const { drivers, address } = await runtime.listen({ port: 0, module })

      await Promise.all(drivers.map(({ shard }) => shard.terminate()))
      // Warnings are told in a later round of the loop.
      while (warnings.length === 0) await new Promise(setImmediate)

      assert.equal(warnings.length, 1)
      assert.match(warnings[0]!, new RegExp(`^Port ${address.port} refuses .*none will be back$`))
    } finally {
      process.off('warning', hear)
    }
  },
)

test(
  'ports can be on drivers of their own, and one port on more of them later',
  LIMIT,
  async () => {
    await using runtime = await startThree()
    const [first, second] = runtime.drivers
    const one = await runtime.listen({ port: 0, module, drivers: [first!] })
    const two = await runtime.listen({ port: 0, module, drivers: [second!] })
    assert.equal(await whoServes(one.address.port), 'io-0.0')
    assert.equal(await whoServes(two.address.port), 'io-0.1')

    const { port } = one.address
    await using more = await runtime.listen({ port, module, drivers: [second!] })

    await untilServedBy(port, ['io-0.0', 'io-0.1'])
    await one.close()
    for (let count = 0; count < 4; count++) assert.equal(await whoServes(port), 'io-0.1')
    assert.deepEqual(more.address, one.address)
  },
)

test(
  'drivers of one port that are not alike are refused, and what differs is named',
  LIMIT,
  async () => {
    await using runtime = await startThree()
    const [first, second] = runtime.drivers
    const given = { module, drivers: [first!], argument: { greeting: 'hello' } }
    const { port } = (await runtime.listen({ ...given, port: 0 })).address
    const differing: [Partial<PortOptions>, RegExp][] = [
      [{ backlog: 7 }, /backlog is 1024 on driver 'io-0.0', and 7 on driver 'io-0.1'/],
      [{ accept: 'reusePort' }, /reusePort is false on driver 'io-0.0', and true on/],
      [{ name: 'polite' }, /name is "default" on driver 'io-0.0', and "polite" on/],
      [{ module: work }, /module is .*connections.js.* and .*work.js/],
      [{ argument: { greeting: 'goodbye' } }, /argument of driver 'io-0.0' is not equal/],
    ]

    for (const [other, message] of differing) {
      const listening = runtime.listen({ ...given, port, ...other, drivers: [second!] })
      await assert.rejects(listening, { code: 'ERR_LISTENERS_DIFFER', message })
    }
    await assert.rejects(runtime.listen({ ...given, port }), RangeError)
    await runtime.listen({ ...given, port, argument: { greeting: 'hello' }, drivers: [second!] })
  },
)

test('a module that was compiled to CommonJS serves a port and runs work', LIMIT, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'percore-listen-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const compiled = join(folder, 'serve.cjs')
  writeFileSync(
    compiled,
    `exports.__esModule = true
     exports.default = async (stream) => stream?.write(Buffer.from('compiled\\n'))`,
  )
  await using runtime = await startThree()

  const { address } = await runtime.listen({ port: 0, module: compiled })

  assert.equal(await whoServes(address.port), 'compiled')
  await runtime.drivers[0]!.run({ module: compiled, name: 'default' })
})

test('listen() opens nothing where one driver cannot, and says why', LIMIT, async () => {
  await using runtime = await startThree()
  const taken = await TcpListener.bind({ port: 0 })
  const { port } = taken.address

  for (const name of ['absent', 'notAFunction']) {
    await assert.rejects(runtime.listen({ port: 0, module, name }), TypeError)
  }
  const absent = new URL('./not-there.js', import.meta.url)
  await assert.rejects(runtime.listen({ port: 0, module: absent }), {
    code: 'ERR_MODULE_NOT_FOUND',
  })
  await assert.rejects(runtime.listen({ port, module }), { code: 'EADDRINUSE' })
  await taken.close()

  const listener = await runtime.listen({ port, module })
  assert.equal(listener.address.port, port)
})

test('listen() refuses options that cannot be right', LIMIT, async () => {
  await using runtime = await startThree()
  await using other = await startThree()
  const task = runtime.drivers[2]!
  const refused: [object, object][] = [
    [{ port: 0 }, TypeError],
    [{ port: 70_000, module }, RangeError],
    [{ port: 0, module: './connections.js' }, TypeError],
    [{ port: 0, module, transport: 'sctp' }, TypeError],
    [{ port: 0, module, accept: 'random' }, TypeError],
    [{ port: 0, module, reusePort: true }, TypeError],
    [{ port: 0, module, argument: () => {} }, TypeError],
    [{ port: 0, module, onError: 'print' }, TypeError],
    [{ port: 0, module, drivers: 'io-0.0' }, TypeError],
    [{ port: 0, module, drivers: [] }, { code: 'ERR_UNSUPPORTED' }],
    [{ port: 0, module, drivers: [task] }, { code: 'ERR_UNSUPPORTED' }],
    [{ port: 0, module, drivers: [other.drivers[0]] }, RangeError],
    [{ port: 0, module, drivers: [runtime.drivers[0], runtime.drivers[0]] }, RangeError],
  ]

  for (const [options, expected] of refused) {
    await assert.rejects(runtime.listen(options as PortOptions), expected as Error)
  }
  assert.ok(runtime.drivers.every(({ isRunning }) => isRunning))
})

test('listen() gives up a module that hangs, and the port is free', LIMIT, async () => {
  await using runtime = await startThree()
  const hangs = new URL('data:text/javascript,await new Promise(() => {})')

  await assert.rejects(runtime.listen({ port: 0, module: hangs, timeoutMs: 20 }), {
    code: 'ERR_TASK_TIMEOUT',
    message: /'io-0\.0', 'io-0\.1' had not/,
  })

  const listener = await runtime.listen({ port: 0, module })
  await untilServedBy(listener.address.port, ['io-0.0', 'io-0.1'])
})

test('one number on two addresses is two ports', LIMIT, async () => {
  await using runtime = await startThree()
  const one = await runtime.listen({ port: 0, module, host: '127.0.0.1' })
  const { port } = one.address

  const two = await runtime.listen({ port, module, host: '127.0.0.2', name: 'polite' })

  assert.deepEqual([two.address.host, two.address.port], ['127.0.0.2', port])
  await one.close()
  await using stream = await TcpStream.connect({ port, host: '127.0.0.2' })
  assert.match(await readLine(stream), /^io-/)
  await two.close()
  assert.equal(await readLine(stream), 'bye')
})

test(
  'an address that is named in two ways is one port, also with sockets of their own',
  LIMIT,
  async () => {
    await using runtime = await startThree()
    const [first, second] = runtime.drivers
    const accept = 'reusePort'
    const one = await runtime.listen({ port: 0, module, accept, drivers: [first!] })
    const { port } = one.address

    const same = { port, host: '127.0.0.1', accept, drivers: [second!] } as const
    await assert.rejects(runtime.listen({ ...same, module, name: 'polite' }), {
      code: 'ERR_LISTENERS_DIFFER',
    })

    const two = await runtime.listen({ ...same, module })
    assert.equal(two.address.port, port)
  },
)

test('a port is served again at once after close() was called', LIMIT, async () => {
  await using runtime = await startThree()
  let port = 0
  for (let round = 0; round < 5; round++) {
    const listener = await runtime.listen({ port, module, name: 'polite' })
    port = listener.address.port
    void listener.close()
  }

  const listener = await runtime.listen({ port, module })
  await untilServedBy(port, ['io-0.0', 'io-0.1'])
  await listener.close()
})

test('however many connections fail at once, all are counted', LIMIT, async () => {
  await using runtime = await startThree()
  let toldCount = 0
  const onError = ({ skippedCount }: ConnectionFailure): void => {
    toldCount += 1 + skippedCount
  }
  const listener = await runtime.listen({ port: 0, module, name: 'fail', onError })
  const streams = await Promise.all(
    Array.from({ length: 60 }, () => TcpStream.connect({ port: listener.address.port })),
  )

  await Promise.all(streams.map((stream) => stream.write(Uint8Array.of(1))))
  await Promise.all(streams.map((stream) => stream.read().catch(() => {})))
  await listener.close()

  assert.deepEqual([listener.failureCount, toldCount], [60, 60])
  for (const stream of streams) await stream.close()
})

test('a connection whose function throws ends alone, and is told', LIMIT, async () => {
  await using runtime = await startThree()
  const failures: ConnectionFailure[] = []
  const onError = (failure: ConnectionFailure): void => void failures.push(failure)
  const listener = await runtime.listen({ port: 0, module, name: 'fail', onError })
  const streams = await Promise.all(
    [1, 2].map(() => TcpStream.connect({ port: listener.address.port })),
  )

  await streams[0]!.write(Uint8Array.of(1))

  await assert.rejects(streams[0]!.read(), { code: 'ECONNRESET' })
  while (failures.length === 0) await new Promise(setImmediate)
  const [{ error, driver }] = failures as [ConnectionFailure]
  assert.equal((error as { code: string }).code, 'ERR_MINE')
  assert.ok(error instanceof RangeError)
  assert.ok(listener.drivers.includes(driver))
  assert.equal(listener.failureCount, 1)
  await streams[1]!.write(Uint8Array.of(1))
  await assert.rejects(streams[1]!.read(), { code: 'ECONNRESET' })
  for (const stream of streams) await stream.close()
})

test('a failure that nobody asks for is a warning, once', LIMIT, async () => {
  await using runtime = await startThree()
  const warnings: Error[] = []
  const listen = (warning: Error): void => {
    if (warning.name === 'ConnectionFailure') warnings.push(warning)
  }
  process.on('warning', listen)
  const listener = await runtime.listen({ port: 0, module, name: 'fail' })

  for (let count = 1; count <= 3; count++) {
    const stream = await TcpStream.connect({ port: listener.address.port })
    await stream.write(Uint8Array.of(1))
    await assert.rejects(stream.read(), { code: 'ECONNRESET' })
    await stream.close()
    while (listener.failureCount < count) await new Promise(setImmediate)
  }
  await new Promise(setImmediate)
  process.off('warning', listen)

  assert.equal(warnings.length, 1)
  assert.match(warnings[0]!.message, /RangeError: not today/)
})

test('close() lets connections end by their signal, and frees the port', LIMIT, async () => {
  await using runtime = await startThree()
  const failures: unknown[] = []
  const onError = ({ error }: ConnectionFailure): void => void failures.push(error)
  const polite = await runtime.listen({ port: 0, module, name: 'polite', onError })
  const waiting = await runtime.listen({ port: 0, module, name: 'waitBySignal', onError })
  const one = await connect(polite.address.port)
  const two = await connect(waiting.address.port)

  await Promise.all([polite.close(), waiting.close()])

  assert.equal(await readLine(one.stream), 'bye')
  assert.equal(await two.stream.read(), null)
  assert.deepEqual([polite.isClosed, failures], [true, []])
  const { port } = polite.address
  await assert.rejects(TcpStream.connect({ port }), { code: 'ECONNREFUSED' })
  await polite.close()
  await runtime.listen({ port, module, backlog: 7 })
  for (const { stream } of [one, two]) await stream.close()
})

test('close() cuts connections that go on at half of its deadline', LIMIT, async () => {
  await using runtime = await startThree()
  const listener = await runtime.listen({ port: 0, module, name: 'stubborn' })
  const { stream } = await connect(listener.address.port)

  await listener.close({ deadlineMs: 6000 })

  // What it has got is not the whole.
  await assert.rejects(stream.read(), { code: 'ECONNRESET' })
  await stream.close()
  assert.ok(runtime.drivers.every(({ isRunning }) => isRunning))
})

test('close() names the drivers that do not answer by its deadline', LIMIT, async () => {
  await using runtime = await startThree()
  const words = new Int32Array(new SharedArrayBuffer(8))
  const [driver] = runtime.drivers
  const options = { port: 0, module, name: 'block', argument: words, drivers: [driver!] }
  const listener = await runtime.listen(options)
  const { stream } = await connect(listener.address.port)
  await stream.write(Uint8Array.of(1))
  while (Atomics.load(words, 1) === 0) await new Promise(setImmediate)

  const closing = listener.close({ deadlineMs: 10 })

  await assert.rejects(closing, { code: 'ERR_TASK_TIMEOUT', message: /'io-0\.0' did not/ })
  Atomics.store(words, 0, 1)
  assert.equal(await stream.read(), null)
  await stream.close()
})

test('a port is opened on a driver again while its connections there end', LIMIT, async () => {
  await using runtime = await startThree()
  const [first, second] = runtime.drivers
  const one = await runtime.listen({ port: 0, module, drivers: [first!] })
  const { port } = one.address
  const { stream } = await connect(port)
  await using two = await runtime.listen({ port, module, drivers: [second!] })
  const closed = one.close()

  await using again = await runtime.listen({ port, module, drivers: [first!] })

  await untilServedBy(port, ['io-0.0', 'io-0.1'])
  await stream.close()
  await closed
  await untilServedBy(port, ['io-0.0', 'io-0.1'])
  assert.deepEqual(
    [one, two, again].map(({ isClosed }) => isClosed),
    [true, false, false],
  )
})

test('stop() has connections end, and closes all ports', LIMIT, async () => {
  const runtime = await startThree()
  const { address } = await runtime.listen({ port: 0, module, name: 'polite' })
  const { stream } = await connect(address.port)

  const exits = await runtime.stop()

  assert.equal(await readLine(stream), 'bye')
  assert.deepEqual([...new Set(exits.map(({ reason }) => reason))], ['returned'])
  await assert.rejects(TcpStream.connect({ port: address.port }), { code: 'ECONNREFUSED' })
  await stream.close()
})
