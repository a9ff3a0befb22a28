/** Whether a socket that waits for datagrams keeps a program alive. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runChild, success } from '../hazards/child.ts'

const door = JSON.stringify(new URL('../../src/net/index.js', import.meta.url).href)
const PAIR = `
  const { UdpSocket } = await import(${door})
  const server = await UdpSocket.bind({ port: 0 })
  const client = await UdpSocket.connect(server.localAddress)`

test('unref() lets a program end although a read or a consumer waits', async () => {
  const before = `${PAIR}; client.unref(); void client.receive(); console.log('end')`
  const after = `${PAIR}; void client.receive(); client.unref(); console.log('end')`
  const consuming = `${PAIR}; client.unref().consume({ onDatagram() {}, onEnd() {} }); console.log('end')`

  for (const program of [before, after, consuming]) {
    assert.deepEqual(await runChild(program), success('end\n'))
  }
})

test('a read keeps the program alive until it is answered, also after ref()', async () => {
  const program = `${PAIR}
    server.unref()
    const receiving = server.receive()
    server.ref()
    setTimeout(() => client.send(new Uint8Array(5)), 100).unref()
    console.log((await receiving).data.length)
    server.unref()`

  assert.deepEqual(await runChild(program), success('5\n'))
})
