/**
 * Whether a stream that waits for data keeps a program alive.
 *
 * Proof that these can fail: without the count of what is passed over, the first two do not end; without its undoing at the
 * end of a receive, the last two end early.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runChild, success } from '../hazards/child.ts'

const door = JSON.stringify(new URL('../../src/net/index.js', import.meta.url).href)
const PAIR = `
  const { TcpListener, TcpStream } = await import(${door})
  const listener = (await TcpListener.bind({ port: 0 })).unref()
  const accepting = listener.accept()
  const client = await TcpStream.connect({ port: listener.address.port })
  const server = await accepting`

test('unref() lets a program end although a read waits, before and after it began', async () => {
  const before = `${PAIR}; client.unref(); void client.read(); console.log('end')`
  const after = `${PAIR}; void client.read(); client.unref(); console.log('end')`

  assert.deepEqual(await runChild(before), success('end\n'))
  assert.deepEqual(await runChild(after), success('end\n'))
})

test('unref() lets a program end although data came and more is waited for', async () => {
  const program = `${PAIR}
    client.unref()
    client.consume({ onChunk: (chunk) => console.log(chunk.length), onEnd() {} })
    await server.write(new Uint8Array(3))
    await new Promise((resolve) => setTimeout(resolve, 50))
    console.log('end')`

  assert.deepEqual(await runChild(program), success('3\nend\n'))
})

test('ref() has a read keep the program alive again', async () => {
  const program = `${PAIR}
    client.unref()
    const reading = client.read()
    client.ref()
    setTimeout(() => server.write(new Uint8Array(5)), 100).unref()
    console.log((await reading).length)
    client.unref()`

  assert.deepEqual(await runChild(program), success('5\n'))
})

test('a stream that was unref() and closed leaves others as they were', async () => {
  const program = `${PAIR}
    client.unref()
    void client.read().catch(() => {})
    await client.close()
    const accepted = listener.accept()
    const other = await TcpStream.connect({ port: listener.address.port })
    const peer = await accepted
    setTimeout(() => peer.write(new Uint8Array(7)), 100).unref()
    console.log((await other.read()).length)
    other.unref()`

  assert.deepEqual(await runChild(program), success('7\n'))
})
