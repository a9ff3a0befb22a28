/** UDP ports that drivers of a runtime serve, on the threads of this process. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { executor } from '../../src/index.ts'
import { TcpStream, UdpSocket } from '../../src/net/index.ts'
import { Runtime, type UdpPortOptions } from '../../src/runtime/index.ts'
import { CpuSet } from '../../src/topology/index.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(60_000)
const module = new URL('./connections.js', import.meta.url)
const given = { transport: 'udp', module, name: 'answer' } as const

after(() => executor().close())

/** Two drivers for I/O on one core. */
function startTwo(): Promise<Runtime> {
  const [cpu] = CpuSet.allowed()
  return Runtime.start({
    cpus: CpuSet.allowed().filter(({ id }) => id === cpu!.id),
    layout: ({ cpus }) => [
      { kind: 'io', cpus },
      { kind: 'io', cpus },
    ],
    executor: { ioMemoryBytes: 256 * 1024 },
    restart: { limit: 100, backoffMs: 1 },
    onExit: () => {},
  })
}

/** Who answers a sender of its own; asks again, as datagrams get lost while nobody has the port. */
async function whoAnswers(port: number): Promise<string> {
  await using client = await UdpSocket.bind({ port: 0 })
  for (;;) {
    await client.send(new Uint8Array(1), { to: { host: '127.0.0.1', port } })
    try {
      const { data } = await client.receive({ timeoutMs: 200 })
      return new TextDecoder().decode(data)
    } catch (error) {
      assert.equal((error as { code: string }).code, 'ERR_TASK_TIMEOUT')
    }
  }
}

async function untilAnsweredBy(port: number, names: readonly string[]): Promise<void> {
  const missing = new Set(names)
  while (missing.size > 0) missing.delete(await whoAnswers(port))
}

test('listen() opens one port of UDP on all I/O drivers, each with a socket', LIMIT, async () => {
  await using runtime = await startTwo()

  const listener = await runtime.listen({ ...given, port: 0 })

  await untilAnsweredBy(listener.address.port, ['io-0.0', 'io-0.1'])
  await listener.close()
  // Nobody has it any more.
  await using socket = await UdpSocket.bind({ port: listener.address.port })
  assert.equal(socket.localAddress.port, listener.address.port)
})

test('a function that does not listen to the signal loses its socket', LIMIT, async () => {
  await using runtime = await startTwo()
  const listener = await runtime.listen({ ...given, name: 'deaf', port: 0 })
  await whoAnswers(listener.address.port)

  await listener.close({ deadlineMs: 2000 })

  await using socket = await UdpSocket.bind({ port: listener.address.port })
  assert.ok(socket.localAddress.port > 0)
})

test('TCP and UDP of one number have drivers of their own', LIMIT, async () => {
  await using runtime = await startTwo()
  const [first, second] = runtime.drivers
  const tcp = await runtime.listen({ port: 0, module, drivers: [first!] })
  const { port } = tcp.address

  await runtime.listen({ ...given, port, drivers: [second!] })

  assert.equal(await whoAnswers(port), 'io-0.1')
  await using stream = await TcpStream.connect({ port })
  assert.equal(new TextDecoder().decode((await stream.read())!), 'io-0.0\n')
})

test('drivers of one UDP port that are not alike are refused', LIMIT, async () => {
  await using runtime = await startTwo()
  const [first, second] = runtime.drivers
  const { port } = (await runtime.listen({ ...given, port: 0, drivers: [first!] })).address
  const differing: [Partial<UdpPortOptions>, RegExp][] = [
    [{ ttl: 3 }, /ttl is not given on driver 'io-0.0', and 3 on driver 'io-0.1'/],
    [{ broadcast: true }, /broadcast is false on driver 'io-0.0', and true on driver/],
    [{ name: 'deaf' }, /name is "answer" on driver 'io-0.0', and "deaf" on/],
  ]

  for (const [other, message] of differing) {
    const listening = runtime.listen({ ...given, ...other, port, drivers: [second!] })
    await assert.rejects(listening, { code: 'ERR_LISTENERS_DIFFER', message })
  }
  await runtime.listen({ ...given, port, broadcast: false, drivers: [second!] })
  await untilAnsweredBy(port, ['io-0.0', 'io-0.1'])
})

test('a driver that has ended and is restarted has its socket again', LIMIT, async () => {
  await using runtime = await startTwo()
  const { address } = await runtime.listen({ ...given, port: 0 })

  await runtime.drivers[0]!.shard.terminate()

  await untilAnsweredBy(address.port, ['io-0.0', 'io-0.1'])
})

test('what the function throws is told, and of no use to UDP is refused', LIMIT, async () => {
  await using runtime = await startTwo()
  const failed = new Promise((resolve) => {
    void runtime
      .listen({ ...given, name: 'failOnce', port: 0, onError: ({ error }) => resolve(error) })
      .then(async ({ address }) => {
        await using client = await UdpSocket.bind({ port: 0 })
        await client.send(new Uint8Array(1), { to: address })
      })
  })
  assert.equal(((await failed) as { code: string }).code, 'ERR_MINE')

  await assert.rejects(runtime.listen({ ...given, port: 0, backlog: 1 } as never), TypeError)
  await assert.rejects(runtime.listen({ ...given, port: 0, accept: 'shared' } as never), TypeError)
  await assert.rejects(runtime.listen({ ...given, port: 0, ttl: 0 }), RangeError)
  await assert.rejects(runtime.listen({ port: 0, module, ttl: 1 } as never), TypeError)
  const nameless = runtime.listen({ transport: 'unix', module })
  await assert.rejects(nameless, { name: 'TypeError', message: /a path or an abstractName/ })
})

test('a function that returns though the port is open has failed', LIMIT, async () => {
  await using runtime = await startTwo()
  const [driver] = runtime.drivers
  const failures: unknown[] = []
  const failed = new Promise<unknown>((resolve) => {
    void runtime
      .listen({
        ...given,
        name: 'returnOnce',
        port: 0,
        drivers: [driver!],
        onError: ({ error }) => {
          failures.push(error)
          resolve(error)
        },
      })
      .then(async (listener) => {
        await using client = await UdpSocket.bind({ port: 0 })
        await client.send(new Uint8Array(1), { to: listener.address })
        await failed
        await listener.close()
      })
  })

  assert.equal(((await failed) as { code: string }).code, 'ERR_HANDLE_CLOSED')

  const listener = await runtime.listen({
    ...given,
    port: 0,
    drivers: [driver!],
    onError: ({ error }) => failures.push(error),
  })
  await whoAnswers(listener.address.port)
  await listener.close()
  // One that the port was closed under has not.
  assert.equal(failures.length, 1)
})

/** Sends an empty datagram to the port. */
async function sendEmpty(port: number): Promise<void> {
  await using client = await UdpSocket.bind({ port: 0 })
  await client.send(new Uint8Array(0), { to: { host: '127.0.0.1', port } })
}

for (const name of ['strict', 'closing', 'leaving', 'consumed']) {
  test(`a function that has failed is called again: ${name}`, LIMIT, async () => {
    await using runtime = await startTwo()
    const [driver] = runtime.drivers
    const codes = new Set<unknown>()
    let onFailure = (): void => {}
    const listener = await runtime.listen({
      ...given,
      name,
      port: 0,
      drivers: [driver!],
      onError: ({ error }) => {
        codes.add((error as { code?: string }).code)
        onFailure()
      },
    })
    const { port } = listener.address

    for (let count = 0; count < 3; count++) {
      const failed = new Promise<void>((resolve) => {
        onFailure = resolve
      })
      await sendEmpty(port)
      await failed
      assert.equal(await whoAnswers(port), driver!.name)
    }

    assert.deepEqual([...codes], [name === 'consumed' ? 'ERR_HANDLE_CLOSED' : 'ERR_MINE'])
    assert.equal(listener.isListening, true)
    await listener.close()
  })
}

test('a function that fails at once is called until it does not', LIMIT, async () => {
  await using runtime = await startTwo()
  const argument = new Int32Array(new SharedArrayBuffer(4))
  const [driver] = runtime.drivers
  const onError = (): void => {}
  const listener = await runtime.listen({
    ...given,
    name: 'mostlyFails',
    port: 0,
    argument,
    drivers: [driver!],
    onError,
  })

  assert.equal(await whoAnswers(listener.address.port), driver!.name)

  assert.equal(Atomics.load(argument, 0), 4)
  assert.equal(listener.failureCount, 3)
  await listener.close()
})

test('a function that fails for ever does not hold up the close', LIMIT, async () => {
  await using runtime = await startTwo()
  let failureCount = 0
  const failed = new Promise<void>((resolve) => {
    void runtime
      .listen({
        ...given,
        name: 'mostlyFails',
        port: 0,
        argument: new Int32Array([-1_000_000]),
        onError: () => {
          if (++failureCount === 8) resolve()
        },
      })
      .then(async (listener) => {
        await failed
        await listener.close({ deadlineMs: 1e9 })
        closed()
      })
  })
  let closed = (): void => {}

  await new Promise<void>((resolve) => {
    closed = resolve
  })
})

test('a warning says that the function of a UDP port has failed', LIMIT, async () => {
  await using runtime = await startTwo()
  const warned = new Promise<Error>((resolve) => process.once('warning', resolve))

  const listener = await runtime.listen({ ...given, name: 'strict', port: 0 })
  await sendEmpty(listener.address.port)

  const { name, message } = await warned
  assert.equal(name, 'ConnectionFailure')
  assert.match(message, /^The function of UDP port \d+ on driver 'io-0.\d' threw/)
})

for (const name of ['strict', 'listening', 'consumed']) {
  test(`a function that knows of no signal ends with its port: ${name}`, LIMIT, async () => {
    await using runtime = await startTwo()
    const failures: unknown[] = []
    const listener = await runtime.listen({
      ...given,
      name,
      port: 0,
      onError: ({ error }) => failures.push(error),
    })
    await whoAnswers(listener.address.port)

    // Nothing is cut within the time that this test has.
    await listener.close({ deadlineMs: 1e9 })

    assert.deepEqual(failures, [])
  })
}
