/** A program of loops that try again whatever comes. It prints which of them go on once the close has ended. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextRound } from 'node:timers/promises'
import { createChannel } from '../../src/channels/index.ts'
import { attachExecutor, scope, spawn, yieldNow, yieldQueue } from '../../src/index.ts'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { Barrier, Condition, Event, Gate, Latch, Mutex, Semaphore } from '../../src/sync/index.ts'
import { Interval, sleep, sleepUntil, timeout } from '../../src/time/index.ts'

const HOUR_MS = 3_600_000
const path = join(process.argv[2]!, 'file')
writeFileSync(path, 'x'.repeat(8192))
const attached = attachExecutor()
const listener = await TcpListener.bind({ port: 0 })
const accepting = listener.accept()
const stream = await TcpStream.connect({ port: listener.address.port })
await accepting
const file = await BufferedFile.open(path, { read: true, write: true })
const log = await BufferedFile.open(path, { append: true })
const direct = await DirectFile.open(path, { fallback: 'buffered' })
const mutex = new Mutex(1)
await mutex.lock()
const semaphore = new Semaphore(0)
const latch = new Latch(1)
const event = new Event()
const condition = new Condition()
const barrier = new Barrier(2)
const gate = new Gate()
gate.enter()
const interval = new Interval(HOUR_MS)
const full = createChannel<number>({ capacity: 1 })
full.sender.trySend(1)
const empty = createChannel<number>({ capacity: 1 })
const data = new Uint8Array(2 ** 20)

const waits: Record<string, () => unknown> = {
  sleep: () => sleep(HOUR_MS),
  sleepUntil: () => sleepUntil(attached.nowNs() + 1e15),
  timeout: () => timeout(HOUR_MS, new Promise(() => {})),
  interval: () => interval.next(),
  yieldNow: () => yieldNow(),
  yieldQueue: () => yieldQueue(),
  scope: () => scope(() => sleep(HOUR_MS)),
  lock: () => mutex.lock(),
  runExclusive: () => mutex.runExclusive(() => {}),
  acquire: () => semaphore.acquire(),
  latch: () => latch.wait(),
  event: () => event.wait(),
  condition: () => condition.wait(() => false),
  barrier: () => barrier.arrive(),
  gate: () => gate.close(),
  send: () => full.sender.send(2),
  receive: () => empty.receiver.receive(),
  accept: () => listener.accept(),
  bind: async () => (await TcpListener.bind({ port: 0 })).close(),
  connect: async () => (await TcpStream.connect({ port: listener.address.port })).close(),
  read: () => stream.read(),
  write: () => stream.write(data),
  shutdown: () => stream.shutdown(),
  open: async () => (await BufferedFile.open(path)).close(),
  stat: () => file.stat(),
  size: () => file.size(),
  sync: () => file.sync(),
  truncate: () => file.truncate(1),
  'read a file': () => file.read(0, 10),
  readInto: () => file.readInto(new Uint8Array(10), 0),
  'write a file': () => file.write(data.subarray(0, 10), 0),
  append: () => log.append(data.subarray(0, 10)),
  'read directly': () => direct.read(0, 10),
}

const counts: Record<string, number> = {}
const names = process.argv[3] === undefined ? Object.keys(waits) : [process.argv[3]]
for (const name of names) {
  counts[name] = 0
  const retry = async (): Promise<void> => {
    for (;;) {
      counts[name]!++
      try {
        await waits[name]!()
      } catch {}
    }
  }
  spawn(retry).catch(() => {})
}
await sleep(5)
await attached.close()
const before = { ...counts }
for (let round = 0; round < 100; round++) await nextRound()
const changed = names.filter((name) => counts[name] !== before[name])
console.log(JSON.stringify(changed))
