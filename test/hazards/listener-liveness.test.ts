/** Who listens keeps the program alive, as in node:net, unless it says otherwise. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TcpListener } from '../../src/net/index.ts'
import { limited } from '../limits.ts'
import { testOnBoth } from '../net/both-kernels.ts'
import { runChild } from './child.ts'

const LIMIT = limited(30_000)
const DOOR = JSON.stringify(new URL('../../src/net/index.js', import.meta.url).href)
const START = `
  import { TcpListener, TcpStream } from ${DOOR}
  const listener = await TcpListener.bind({ port: 0 })
`
/** Node's timer comes to its end only if something else keeps the program alive so long. */
const END = `
  setTimeout(async () => {
    console.log('alive')
    await listener.close()
    console.log('closed')
  }, 1000).unref()
`

for (const [name, program, expected] of [
  ['that listens keeps the program alive', ``, 'alive closed'],
  ['that accepts keeps the program alive', `listener.accept().catch(() => {})`, 'alive closed'],
  ['that was closed lets the program end', `await listener.close()`, ''],
  [
    'that was closed while it accepted lets the program end',
    `listener.accept().catch(() => console.log('told')); await listener.close()`,
    'told',
  ],
  ['without reference lets the program end', `listener.unref()`, ''],
  [
    'without reference lets the program end though somebody accepts',
    `listener.unref().accept().catch(() => {})`,
    '',
  ],
  ['with its reference again keeps the program alive', `listener.unref().ref()`, 'alive closed'],
  [
    'without reference is closed before the program ends',
    `
      const accepting = listener.unref().accept()
      const client = await TcpStream.connect({ port: listener.address.port })
      const server = await accepting
      await Promise.all([client.close(), server.close()])
      await listener.close()
      console.log('closed')
    `,
    'closed',
  ],
] as const) {
  test(`a listener ${name}`, LIMIT, async () => {
    const { code, output } = await runChild(`${START}\n${program}\n${END}`)

    assert.equal(code, 0)
    assert.equal(output.trim().split(/\s+/).join(' '), expected)
  })
}

testOnBoth('unref() and ref() of a listener leave what it accepts alone', async () => {
  const listener = await TcpListener.bind({ port: 0 })
  assert.equal(listener.unref().unref().ref().ref(), listener)
  const accepting = assert.rejects(listener.accept(), { code: 'ERR_HANDLE_CLOSED' })

  listener.unref()
  await listener.close()

  await accepting
  assert.equal(listener.ref().unref(), listener)
})
