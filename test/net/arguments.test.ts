import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { executor } from '../../src/executor/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { holdings, Pair, pattern } from './support.ts'

test('streams refuse options and switches of the wrong kind', async () => {
  await using pair = await Pair.open()
  const { client, server, listener } = pair

  await assert.rejects(server.read(4096 as never), TypeError)
  await assert.rejects(server.readLease(4096 as never), TypeError)
  await assert.rejects(client.write(pattern(0, 1), 5 as never), TypeError)
  await assert.rejects(listener.accept(100 as never), TypeError)
  assert.throws(() => client.setNoDelay('no' as never), TypeError)
  assert.throws(() => client.setKeepAlive(1 as never), TypeError)
})

test('bind() and connect() refuse switches of the wrong kind', async () => {
  await assert.rejects(TcpListener.bind({ port: 0, reusePort: 'x' as never }), TypeError)
  await assert.rejects(TcpListener.bind({ port: 0, reuseAddress: 1 as never }), TypeError)
  await assert.rejects(TcpListener.bind({ port: 0, noDelay: 0 as never }), TypeError)
  await assert.rejects(TcpStream.connect({ port: 1, noDelay: 'no' as never }), TypeError)
})

test('bind() ends with its signal, be it aborted before or during the look-up', async () => {
  await assert.rejects(TcpListener.bind({ port: 0, signal: AbortSignal.abort() }), {
    name: 'AbortError',
  })
  const controller = new AbortController()
  const { signal } = controller
  const binding = TcpListener.bind({ host: 'no-such-host.invalid', port: 0, signal })
  controller.abort()

  await assert.rejects(binding, { name: 'AbortError' })
})

test('connect() names every address that it tried', async () => {
  const listener = await TcpListener.bind({ port: 0 })
  const { port } = listener.address
  await listener.close()

  const failing = TcpStream.connect({ port })

  await assert.rejects(failing, (error: Error & { address: string }) => {
    assert.equal(error.address, `127.0.0.1:${port}`)
    assert.ok(error.cause instanceof AggregateError)
    assert.equal(error.cause.errors.length, 2)
    return true
  })
})

test('a chunk stays as it is after leaving a loop', async () => {
  await using pair = await Pair.open()
  await using other = await Pair.open()
  await pair.client.write(new TextEncoder().encode('HEADER'))
  let header: Uint8Array | null = null
  for await (const chunk of pair.server) {
    header = chunk
    break
  }

  // More messages than there are buffers: each is used again.
  for (let count = 0; count < 100; count++) {
    await other.client.write(new TextEncoder().encode('xxxxxx'))
    await other.server.read()
  }

  assert.equal(new TextDecoder().decode(header!), 'HEADER')
})

test('accept() lets go of a descriptor that it cannot make a stream of', async (t) => {
  const { kernel } = executor()
  await using listener = await TcpListener.bind({ port: 0 })
  const accepting = listener.accept()
  const first = await TcpStream.connect({ port: listener.address.port })
  const failure = new Error('no name')
  const accepted = await accepting
  const before = holdings().fdCount
  const naming = t.mock.method(kernel, 'socketName', () => {
    throw failure
  })
  const refused = assert.rejects(listener.accept(), failure)
  const second = await TcpStream.connect({ port: listener.address.port })

  await refused

  naming.mock.restore()
  // What came is the second client alone.
  assert.equal(holdings().fdCount, before + 1)
  await Promise.all([first.close(), accepted.close(), second.close()])
})

test('the declarations compile for a consumer that checks them', async () => {
  const root = new URL('../../../', import.meta.url)
  const path = fileURLToPath(new URL('dist/src/net/index.d.ts', root))
  assert.ok(existsSync(path))
  const compiler = fileURLToPath(new URL('node_modules/typescript/bin/tsc', root))
  const flags = ['--noEmit', '--strict', '--ignoreConfig', '--skipLibCheck', 'false']
  const target = ['--target', 'es2023', '--lib', 'es2023,esnext.disposable']
  const modules = ['--module', 'nodenext', '--types', 'node']

  await promisify(execFile)(process.execPath, [compiler, ...flags, ...target, ...modules, path])
})
