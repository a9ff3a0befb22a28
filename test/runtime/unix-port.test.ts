/** Unix sockets that drivers of a runtime serve, on the threads of this process. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { after, test } from 'node:test'
import { inspect } from 'node:util'
import { executor } from '../../src/index.ts'
import { TcpStream, type UnixAddress, type UnixEndpoint, UnixStream } from '../../src/net/index.ts'
import { type PortOutage, Runtime, type UnixPortOptions } from '../../src/runtime/index.ts'
import { CpuSet } from '../../src/topology/index.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(60_000)
const module = new URL('./connections.js', import.meta.url)
const transport = 'unix'
const folder = mkdtempSync(join(tmpdir(), 'percore-ports-'))
let count = 0

after(async () => {
  await executor().close()
  rmSync(folder, { recursive: true })
})

function freshPath(): string {
  return join(folder, `socket-${++count}`)
}

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

/** Who serves a connection; tries again while there is no socket, or nobody has it. */
async function whoServes(endpoint: UnixEndpoint): Promise<string> {
  for (;;) {
    try {
      await using stream = await UnixStream.connect(endpoint)
      const chunk = await stream.read()
      if (chunk !== null) return new TextDecoder().decode(chunk).trim()
    } catch (error) {
      const { code } = error as { code: string }
      assert.ok(['ECONNREFUSED', 'ECONNRESET', 'ENOENT'].includes(code), code)
      await new Promise(setImmediate)
    }
  }
}

async function untilServedBy(endpoint: UnixEndpoint, names: readonly string[]): Promise<void> {
  const missing = new Set(names)
  while (missing.size > 0) missing.delete(await whoServes(endpoint))
}

for (const [kind, endpointOf] of [
  ['path', () => ({ path: freshPath() })],
  ['abstract name', () => ({ abstractName: `percore-port-${process.pid}-${++count}` })],
] as const) {
  test(`listen() opens one Unix socket on all I/O drivers [${kind}]`, LIMIT, async () => {
    await using runtime = await startTwo()
    const endpoint: UnixEndpoint = endpointOf()

    const listener = await runtime.listen({ transport, ...endpoint, module })

    assert.deepEqual(listener.address, {
      family: 'unix',
      path: null,
      abstractName: null,
      ...endpoint,
    })
    await untilServedBy(listener.address, ['io-0.0', 'io-0.1'])
    assert.match(inspect(listener), /^RuntimeListener unix .* on 2 drivers$/)
    await listener.close()
    assert.ok(endpoint.path == null || !existsSync(endpoint.path), 'nobody has to find it stale')
    await assert.rejects(UnixStream.connect(endpoint))
  })
}

test('a Unix socket that is being closed is opened again once it is gone', LIMIT, async () => {
  await using runtime = await startTwo()
  const path = freshPath()
  const first = await runtime.listen({ transport, path, module })

  const closing = first.close()
  const second = await runtime.listen({ transport, path: relative('.', path), module })
  await closing

  assert.equal(await whoServes(second.address).then((name) => name.slice(0, 5)), 'io-0.')
  assert.equal(second.address.path, path)
})

test('drivers of one Unix socket that are not alike are refused', LIMIT, async () => {
  await using runtime = await startTwo()
  const [first, second] = runtime.drivers
  const path = freshPath()
  const given = { transport, path, module } as const
  await runtime.listen({ ...given, drivers: [first!] })
  const differing: [Partial<UnixPortOptions>, RegExp][] = [
    [{ backlog: 7 }, /backlog is 1024 on driver 'io-0.0', and 7 on driver 'io-0.1'/],
    [{ name: 'polite' }, /name is "default" on driver 'io-0.0', and "polite" on/],
  ]

  for (const [other, message] of differing) {
    const listening = runtime.listen({ ...given, ...other, drivers: [second!] })
    await assert.rejects(listening, { code: 'ERR_LISTENERS_DIFFER', message })
  }
  await runtime.listen({ ...given, drivers: [second!] })
  await untilServedBy({ path }, ['io-0.0', 'io-0.1'])
})

test('a port of TCP and a Unix socket have drivers of their own', LIMIT, async () => {
  await using runtime = await startTwo()
  const [first, second] = runtime.drivers
  const path = freshPath()

  const tcp = await runtime.listen({ port: 0, module, drivers: [first!] })
  await runtime.listen({ transport, path, module, drivers: [second!] })

  assert.equal(await whoServes({ path }), 'io-0.1')
  await using stream = await TcpStream.connect({ port: tcp.address.port })
  assert.equal(new TextDecoder().decode((await stream.read())!), 'io-0.0\n')
})

test(
  'drivers that have ended and are restarted take the place of their socket',
  LIMIT,
  async () => {
    await using runtime = await startTwo()
    const path = freshPath()
    const outages: PortOutage<UnixAddress>[] = []
    await runtime.listen({
      transport,
      path,
      module,
      onOutage: (outage) => outages.push(outage),
    })

    await Promise.all(runtime.drivers.map(({ shard }) => shard.terminate()))

    await untilServedBy({ path }, ['io-0.0', 'io-0.1'])
    assert.ok(outages.every(({ isFinal }) => !isFinal))
  },
)

test('listen() refuses what is of no use to a Unix socket', LIMIT, async () => {
  await using runtime = await startTwo()
  const path = freshPath()
  const given = { transport, path, module } as const

  await assert.rejects(runtime.listen({ ...given, port: 1 } as never), TypeError)
  await assert.rejects(runtime.listen({ ...given, accept: 'reusePort' } as never), TypeError)
  await assert.rejects(runtime.listen({ transport, module }), TypeError)
  await assert.rejects(runtime.listen({ ...given, path: 'x'.repeat(200) }), RangeError)
  await assert.rejects(runtime.listen({ port: 0, module, path } as never), TypeError)
})
