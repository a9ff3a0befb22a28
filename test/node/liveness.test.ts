/** Whether sockets and servers keep a program alive: by programs on `node:net` and on `percore/node`, which end or do not. */
import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { runChild, success } from '../hazards/child.ts'

const MODULES = {
  'node:net': 'node:net',
  percore: new URL('../../src/node/index.js', import.meta.url).href,
}

/** A program that is still there when its loop has had nothing to do for a while says so, and ends. */
const START = `
  const listen = async (...args) => {
    const server = net.createServer((socket) => socket.on('error', () => {}).unref())
    await new Promise((resolve) => server.listen(...args, resolve))
    return server
  }
  const local = [0, '127.0.0.1']
  const connect = async () => {
    const server = (await listen(...local)).unref()
    const socket = net.connect(server.address().port, '127.0.0.1')
    await new Promise((resolve) => socket.on('connect', resolve))
    return socket
  }
  const accept = async (take) => {
    const server = net.createServer((socket) => take(socket.on('error', () => {})))
    await new Promise((resolve) => server.unref().listen(...local, resolve))
    const client = net.connect(server.address().port, '127.0.0.1').unref()
    await new Promise((resolve) => server.on('connection', resolve))
  }
  const path = ${JSON.stringify(join(tmpdir(), 'percore-liveness-'))} + process.pid;`

const CASES: readonly (readonly [what: string, program: string, isAlive: boolean])[] = [
  ['a server that listens', 'await listen(...local)', true],
  ['a server after unref()', '(await listen(...local)).unref()', false],
  ['a server after unref() before listen()', 'net.createServer().unref().listen(...local)', false],
  ['a server after unref() and ref()', '(await listen(...local)).unref().ref()', true],
  ['a server with a path', 'await listen(path)', true],
  ['a server with a path after unref()', '(await listen(path)).unref()', false],
  ['a socket that is open', 'await connect()', true],
  ['a socket after unref()', '(await connect()).unref()', false],
  [
    'a socket after unref() before connect()',
    'const { port } = (await listen(...local)).unref().address(); new net.Socket().unref().connect(port, "127.0.0.1")',
    false,
  ],
  ['a socket after unref() and ref()', '(await connect()).unref().ref()', true],
  ['a socket after destroy()', '(await connect()).destroy()', false],
  ['a socket after unref() with a timeout', '(await connect()).unref().setTimeout(60_000)', false],
  ['a socket that is read after unref()', '(await connect()).unref().on("data", () => {})', false],
  ['an accepted socket', 'await accept((socket) => socket)', true],
  ['an accepted socket after unref()', 'await accept((socket) => socket.unref())', false],
]

for (const [what, program, isAlive] of CASES) {
  for (const [name, url] of Object.entries(MODULES)) {
    const does = isAlive ? 'keeps' : 'does not keep'
    test(`${what} ${does} a program alive [${name}]`, async () => {
      const whole = `
        const net = await import(${JSON.stringify(url)})
        ${START}
        ${program}
        setTimeout(() => { console.log('lives'); process.exit() }, 500).unref()`

      assert.deepEqual(await runChild(whole), success(isAlive ? 'lives\n' : ''))
    })
  }
}
