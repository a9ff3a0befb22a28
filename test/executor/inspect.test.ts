import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { inspect } from 'node:util'
import { createChannel } from '../../src/channels/index.ts'
import { allocateBuffer, createTaskQueue, executor, scope, spawn } from '../../src/index.ts'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import {
  Barrier,
  Condition,
  Event,
  Gate,
  Latch,
  Mutex,
  RwLock,
  Semaphore,
} from '../../src/sync/index.ts'
import { Interval, once, repeat, sleep } from '../../src/time/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'percore-inspect-'))
after(() => rmSync(folder, { recursive: true, force: true }))

test('inspect() of tasks, queues and executors says what they are about', async () => {
  const queue = createTaskQueue('serving', { shares: 10 })
  const task = spawn(() => sleep(1), { name: 'fetch' })

  assert.equal(inspect(task), "Task(fetch) queued in 'default'")
  await task
  assert.equal(inspect(task), "Task(fetch) fulfilled in 'default'")
  assert.equal(inspect(queue), 'TaskQueue(serving) 10 shares, 0 tasks')
  queue.remove()
  assert.equal(inspect(queue), 'TaskQueue(serving) 10 shares, removed')
  assert.equal(inspect(executor()), 'Executor(unnamed) open, 1 queue')
  await scope((s) => assert.equal(inspect(s), 'Scope 1 task'))
})

test('inspect() of locks and channels says who has them, and who waits', async () => {
  const mutex = new Mutex(1)
  const guard = await mutex.lock()
  const { sender, receiver } = createChannel<number>({ capacity: 4 })
  sender.trySend(1)

  assert.equal(inspect(mutex), 'Mutex locked, 0 waiting')
  assert.equal(inspect(guard), 'ExclusiveGuard held')
  guard.release()
  mutex.close()
  assert.equal(inspect(mutex), 'Mutex closed, free, 0 waiting')
  assert.equal(inspect(new RwLock(1)), 'RwLock free, 0 waiting')
  assert.equal(inspect(new Semaphore(3)), 'Semaphore 3 free, 0 waiting')
  assert.equal(inspect(new Gate()), 'Gate open, 0 inside')
  assert.equal(inspect(new Event()), 'Event not set, 0 waiting')
  assert.equal(inspect(new Latch(2)), 'Latch waiting, 2 missing, 0 waiting')
  assert.equal(inspect(new Barrier(2)), 'Barrier 0 of 2 arrived')
  assert.equal(inspect(new Condition()), 'Condition 0 waiting')
  assert.equal(inspect(sender), 'ChannelSender 1 of 4, open')
  receiver.close()
  assert.equal(inspect(receiver), 'ChannelReceiver 0 of 4, closed')
})

test('inspect() of timers, files, streams and leases is one line, also when they are closed', async () => {
  const action = once(60_000, () => {})
  const lease = allocateBuffer(64)
  const file = await BufferedFile.create(join(folder, 'file'))
  const listener = await TcpListener.bind({ port: 0 })
  const accepting = listener.accept()
  const stream = await TcpStream.connect({ port: listener.address.port })
  const accepted = await accepting

  assert.equal(inspect(new Interval(5)), 'Interval 5 ms, 0 waiting')
  assert.equal(inspect(action), 'TimerActionOnce armed')
  assert.match(inspect(repeat(() => null)), /^TimerActionRepeat queued, 0 runs$/)
  assert.match(inspect(lease), /^Lease \d+ bytes, held$/)
  assert.equal(inspect(file), `BufferedFile '${join(folder, 'file')}' open`)
  assert.equal(inspect(listener), `TcpListener 127.0.0.1:${listener.address.port} listening`)
  assert.equal(inspect(stream), `TcpStream 127.0.0.1:${listener.address.port} open`)

  action.destroy()
  lease.release()
  await Promise.all([file.close(), stream.close(), accepted.close(), listener.close()])

  assert.equal(inspect(action), 'TimerActionOnce destroyed')
  assert.match(inspect(lease), /^Lease .*released$/)
  assert.match(inspect(file), /closed$/)
  assert.match(inspect(stream), /closed$/)
  assert.match(inspect(listener), /closed$/)
})

test('inspect() of what is not complete is its name', () => {
  for (const { prototype, name } of [Mutex, BufferedFile, DirectFile, TcpStream, Gate]) {
    const shown = inspect(prototype)
    assert.ok(shown.length < 80, `${name}: ${shown}`)
  }
})
