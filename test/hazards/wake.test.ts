/**
 * Everything of Node works beside percore, with the thread parked in the ring, and with busy
 * cooperative tasks in one and in two queues.
 *
 * Proof that these can fail: without the poll of libuv's descriptor what is parked never wakes; if that
 * is armed only while no other queue waits, two busy queues starve Node's sockets; with a latency ring
 * that defers its work (DEFER_TASKRUN) its completions wake nobody.
 */

import assert from 'node:assert/strict'
import { exec } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import { EventEmitter, once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { after, test } from 'node:test'
import { setTimeout as delay, setImmediate as nextImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'
import { MessageChannel, Worker } from 'node:worker_threads'
import {
  createTaskQueue,
  executor,
  needPreempt,
  spawn,
  spawnInto,
  type Task,
  yieldNow,
} from '../../src/index.ts'
import { nop, poll, read } from '../executor/operations.ts'
import { limited } from '../limits.ts'
import { createPipe } from './pipe.ts'

const LIMIT = limited(20_000)
const pipe = createPipe()
const holder = new AbortController()
// Keeps an operation in flight throughout, so that parking has no end of its own.
const held = poll(pipe.readFd, { signal: holder.signal }).catch(() => {})
const queues = [createTaskQueue('busy one'), createTaskQueue('busy two', { shares: 500 })]

// Some versions of Node write a report when a signal comes, under their own test runner.
if (process.report !== undefined) process.report.reportOnSignal = false

after(async () => {
  holder.abort()
  await held
  pipe.close()
})

const actions: Record<string, () => Promise<void>> = {
  'a timer': async () => {
    for (let i = 0; i < 3; i++) await delay(2)
  },
  'an interval': async () => {
    let count = 0
    await new Promise<void>((resolve) => {
      const interval = setInterval(() => {
        if (++count < 3) return
        clearInterval(interval)
        resolve()
      }, 1)
    })
  },
  setImmediate: async () => {
    for (let i = 0; i < 3; i++) await nextImmediate()
  },
  'an http server and fetch': async () => {
    const server = createServer((_request, response) => response.end('answer')).listen(0)
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const response = await fetch(`http://127.0.0.1:${port}/`)
    assert.equal(await response.text(), 'answer')
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  },
  'a socket': async () => {
    const server = createTcpServer((socket) => socket.pipe(socket)).listen(0)
    await once(server, 'listening')
    const socket = connect((server.address() as AddressInfo).port)
    for (let i = 0; i < 5; i++) {
      socket.write(`line ${i}`)
      const [data] = (await once(socket, 'data')) as [Buffer]
      assert.equal(data.toString(), `line ${i}`)
    }
    socket.destroy()
    server.close()
    await once(server, 'close')
  },
  'fs.promises': async () => {
    const path = join(tmpdir(), `percore-wake-${process.pid}`)
    await writeFile(path, 'text')
    assert.equal(await readFile(path, 'utf8'), 'text')
    await rm(path)
  },
  'a child process': async () => {
    assert.equal((await promisify(exec)('echo child')).stdout, 'child\n')
  },
  'a worker': async () => {
    const code =
      "const { parentPort } = require('worker_threads'); parentPort.once('message', (m) => parentPort.postMessage(m + 1))"
    const worker = new Worker(code, { eval: true })
    worker.postMessage(41)
    // Both at once: they may come in one go.
    const [[answer]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')])
    assert.equal(answer, 42)
  },
  'a signal': async () => {
    const signalled = once(process, 'SIGUSR2')
    process.kill(process.pid, 'SIGUSR2')
    await signalled
  },
  'a signal that comes later': async () => {
    const signalled = once(process, 'SIGUSR2')
    void promisify(exec)(`kill -USR2 ${process.pid}`)
    await signalled
  },
  'dns.lookup': async () => {
    assert.match((await lookup('localhost')).address, /^(127\.0\.0\.1|::1)$/)
  },
  'a stream': async () => {
    let lengthBytes = 0
    const sink = new PassThrough()
    sink.on('data', (chunk: Buffer) => {
      lengthBytes += chunk.length
    })
    await pipeline(Readable.from(Array.from({ length: 50 }, () => Buffer.alloc(1000))), sink)
    assert.equal(lengthBytes, 50_000)
  },
  'a message channel': async () => {
    const { port1, port2 } = new MessageChannel()
    for (let i = 0; i < 3; i++) {
      const arrived = once(port2, 'message')
      port1.postMessage(i)
      assert.equal((await arrived)[0], i)
    }
    port1.close()
  },
  'an EventEmitter': async () => {
    const emitter = new EventEmitter()
    setTimeout(() => emitter.emit('event', 1), 1)
    assert.deepEqual(await once(emitter, 'event'), [1])
  },
  'a no-op of ours': async () => {
    for (let i = 0; i < 3; i++) assert.equal(await nop(), 0)
  },
  'a readable pipe': async () => {
    const other = createPipe()
    setTimeout(() => other.write(), 2)
    assert.equal(await poll(other.readFd), 1)
    other.close()
  },
  'a readable pipe of a latency queue': async () => {
    const other = createPipe()
    const urgent = createTaskQueue('urgent', { latency: { maxMs: 2 } })
    const task = spawnInto(urgent, () => poll(other.readFd))
    setTimeout(() => other.write(), 2)
    assert.equal(await task, 1)
    other.close()
    urgent.remove()
  },
}

async function beBusy(task: Task<void>): Promise<void> {
  while (!task.isCancelled) if (needPreempt()) await yieldNow()
}

for (const [what, act] of Object.entries(actions)) {
  test(`${what} works while the thread is parked`, LIMIT, async () => {
    // A turn with nobody else runnable, so that parking is what comes next.
    await nop()

    await act()
  })

  test(`${what} works in a task`, LIMIT, async () => {
    await spawn(act)
  })

  for (const count of [1, 2]) {
    test(`${what} works beside ${count} busy cooperative queues`, LIMIT, async () => {
      const chosen = queues.slice(0, count)
      const before = chosen.map((queue) => queue.stats().runtimeNs)
      const busy = chosen.map((queue) => spawnInto(queue, beBusy))
      const haveRun = (): boolean =>
        chosen.every((queue, i) => queue.stats().runtimeNs > before[i]!)
      while (!haveRun()) await yieldNow()

      try {
        await act()
      } finally {
        await Promise.all(busy.map((task) => task.cancel()))
      }
    })
  }
}

test('many events of Node and of the ring at once are all seen', LIMIT, async () => {
  const server = createTcpServer((socket) => socket.pipe(socket)).listen(0)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  const talk = async (): Promise<void> => {
    const socket = connect(port)
    for (let i = 0; i < 20; i++) {
      socket.write('x')
      await once(socket, 'data')
      await nop()
    }
    socket.destroy()
  }
  await Promise.all(Array.from({ length: 20 }, talk))

  server.close()
  await once(server, 'close')
})

test('a watcher that is made while the thread is parked for it is seen', LIMIT, async () => {
  // Each is made in a microtask of the last turn before parking, from a completion of the ring.
  for (let i = 0; i < 20; i++) {
    await nop()
    const server = createTcpServer((socket) => socket.end('hello')).listen(0)
    await once(server, 'listening')
    await nop()
    const socket = connect((server.address() as AddressInfo).port)
    await nop()
    const [data] = (await once(socket, 'data')) as [Buffer]
    assert.equal(data.toString(), 'hello')
    server.close()
  }
})

test('the latency ring wakes a parked thread', LIMIT, async () => {
  const urgent = createTaskQueue('urgent', { latency: { maxMs: 2 } })
  const other = createPipe()
  const { parkCount } = executor().stats()

  for (let i = 0; i < 20; i++) {
    const task = spawnInto(urgent, () => poll(other.readFd))
    // The writer is another process: nothing of this one wakes the thread but the ring.
    void promisify(exec)(`printf x > /proc/${process.pid}/fd/${other.readFd}`)
    assert.equal(await task, 1)
    assert.equal(await read(other.readFd, 16), 1)
  }

  assert.ok(executor().stats().parkCount > parkCount)
  other.close()
})
