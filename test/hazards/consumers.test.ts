/**
 * What consumers of streams throw is never lost, and an idle one holds next to nothing.
 *
 * Proof that these can fail: an onEnd that is called without a catch ends the turn of all others; a
 * promise that waits for the end costs an idle stream 300 bytes.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { limited } from '../limits.ts'
import { runChild, success } from './child.ts'

const LIMIT = limited(30_000)
const DOOR = JSON.stringify(new URL('../../src/net/index.js', import.meta.url).href)
const PAIRS = `
  import { TcpListener, TcpStream } from ${DOOR}
  const listener = await TcpListener.bind({ port: 0, backlog: 4096 })
  async function connect() {
    const accepting = listener.accept()
    const client = await TcpStream.connect({ port: listener.address.port })
    return { client, server: await accepting }
  }
`

for (const failure of ["throw new Error('lost')", "return Promise.reject(new Error('lost'))"]) {
  test(`a failure of onEnd is unhandled, and others are told: ${failure}`, LIMIT, async () => {
    const program = `${PAIRS}
      process.on('unhandledRejection', (error) => console.log('unhandled', error.message))
      const first = await connect()
      const second = await connect()
      first.server.consume({ onChunk() {}, onEnd() { ${failure} } })
      const told = new Promise((resolve) =>
        second.server.consume({ onChunk() {}, onEnd: resolve }))
      await Promise.all([first.client.close(), second.client.close()])
      console.log(await told)
      await time.sleep(5)
      await Promise.all([first.server.close(), second.server.close(), listener.close()])
    `

    const { code, output } = await runChild(program)

    assert.equal(code, 0)
    assert.deepEqual(output.trim().split('\n').sort(), ['null', 'unhandled lost'])
  })
}

test(
  'a failure of onEnd ends the process with its report if nobody handles it',
  LIMIT,
  async () => {
    const program = `${PAIRS}
    const { client, server } = await connect()
    server.consume({ onChunk() { throw new Error('first') }, onEnd(error) { throw error } })
    await client.write(new Uint8Array(1))
    await time.sleep(3600e3)
  `

    const { code, errors } = await runChild(program)

    assert.equal(code, 1)
    assert.match(errors, /Error: first\n {4}at /)
  },
)

test(
  'a consumer keeps its process alive while its stream is open, and no longer',
  LIMIT,
  async () => {
    const program = `${PAIRS}
    const { client, server } = await connect()
    await listener.close()
    server.consume({
      onChunk(chunk, stream) { console.log(chunk.length) },
      onEnd(error, stream) { console.log(error); void stream.close() },
    }, { timeoutMs: 3600e3 })
    setTimeout(() => void client.write(new Uint8Array(3)).then(() => client.close()), 20)
  `

    assert.deepEqual(await runChild(program), success('3\nnull\n'))
  },
)

test('10,000 idle consumed streams hold less than 512 bytes of heap each', LIMIT, async () => {
  const program = `${PAIRS}
    const consumer = { onChunk() {}, onEnd() {} }
    const streams = []
    async function open(count) {
      while (streams.length < count) {
        const { client, server } = await connect()
        streams.push(client, server)
        client.consume(consumer)
        server.consume(consumer)
      }
    }
    const settle = () => { for (let i = 0; i < 3; i++) gc() }
    await open(1000)
    settle()
    const before = process.memoryUsage()
    await open(11_000)
    settle()
    const after = process.memoryUsage()
    const heapBytes = after.heapUsed - before.heapUsed + after.arrayBuffers - before.arrayBuffers
    console.log(heapBytes / 10_000)
    process.exit()
  `

  const { code, output } = await runChild(program, { flags: ['--expose-gc'] })

  assert.equal(code, 0)
  assert.ok(Number(output) < 512, `${output.trim()} bytes`)
})
