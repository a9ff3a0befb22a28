/** Run with few descriptors: accepts without any left, and says what came of it. */
import assert from 'node:assert/strict'
import { closeSync, openSync } from 'node:fs'
import { TcpListener, TcpStream } from '../../src/net/index.ts'

const listener = await TcpListener.bind({ port: 0 })
const { port } = listener.address
const words: string[] = []
const taken: number[] = []
for (;;) {
  try {
    taken.push(openSync('/dev/null', 'r'))
  } catch {
    break
  }
}
closeSync(taken.pop()!)
// Before there is anything to accept: the first failure, from which the listener waits, may come early.
const startMs = performance.now()
const client = await TcpStream.connect({ host: '127.0.0.1', port })

for (let tries = 0; tries < 3; tries++) {
  await listener.accept().then(
    () => words.push('accepted too early'),
    (error: { code: string }) => words.push(error.code),
  )
}

// The first is told at once, the others only after the listener has tried again.
const elapsedMs = performance.now() - startMs
assert.ok(elapsedMs >= 190, `three tries took ${elapsedMs} ms`)

const accepting = listener.accept()
closeSync(taken.pop()!)
const server = await accepting
words.push('accepted')

const iterating = listener[Symbol.asyncIterator]().next()
closeSync(taken.pop()!)
const second = await TcpStream.connect({ host: '127.0.0.1', port })
// An iteration is told nothing of it: it waits until there is a descriptor.
setTimeout(() => closeSync(taken.pop()!), 150)
const step = await iterating
words.push(step.done ? 'ended' : 'iterated')
console.log(words.join(' '))
for (const stream of [client, server, second, step.value!]) await stream.close()
await listener.close()
