import assert from 'node:assert/strict'
import { test } from 'node:test'
import { spawn, yieldNow } from '../../src/index.ts'
import { Mutex, RwLock } from '../../src/sync/index.ts'
import { settle, watch } from './watch.ts'

test('lock() gives access to one at a time', async () => {
  const mutex = new Mutex(0)
  let insideCount = 0
  const add = async (): Promise<void> => {
    using guard = await mutex.lock()
    assert.equal(++insideCount, 1)
    const { value } = guard
    await yieldNow()
    guard.replace(value + 1)
    insideCount--
  }

  await Promise.all(Array.from({ length: 20 }, add))

  assert.equal(mutex.takeValue(), 20)
})

test('tryLock() returns null while somebody has access, or waits', async () => {
  const mutex = new Mutex()
  const guard = await mutex.lock()

  const refused = mutex.tryLock()
  const waiting = mutex.lock()
  guard.release()
  const late = mutex.tryLock()

  assert.deepEqual([refused, late], [null, null])
  assert.equal((await waiting).isReleased, false)
})

test('runExclusive() resolves with the result, and releases', async () => {
  const mutex = new Mutex('value')

  const result = await mutex.runExclusive(async (value) => `${value}!`)

  assert.equal(result, 'value!')
  assert.equal(mutex.isLocked, false)
})

test('runExclusive() releases when the body fails', async () => {
  const mutex = new Mutex()
  const fail = async (): Promise<never> => {
    throw new Error('body')
  }

  await assert.rejects(mutex.runExclusive(fail), { message: 'body' })

  assert.equal(mutex.isLocked, false)
})

test('runExclusive() rejects with a TypeError if the body is no function', async () => {
  await assert.rejects(new Mutex().runExclusive(1 as never), TypeError)
})

test('Mutex.close() fails those who wait with ERR_LOCK_CLOSED, not the holder', async () => {
  const mutex = new Mutex('value')
  const guard = await mutex.lock()
  const waiting = mutex.lock()

  mutex.close()

  await assert.rejects(waiting, { code: 'ERR_LOCK_CLOSED' })
  await assert.rejects(mutex.lock(), { code: 'ERR_LOCK_CLOSED' })
  assert.throws(() => mutex.tryLock(), { code: 'ERR_LOCK_CLOSED' })
  assert.equal(guard.value, 'value')
})

test('value and replace() throw ERR_HANDLE_CLOSED once released', async () => {
  const guard = await new Mutex('value').lock()

  guard.release()

  assert.throws(() => guard.value, { code: 'ERR_HANDLE_CLOSED' })
  assert.throws(() => guard.replace('other'), { code: 'ERR_HANDLE_CLOSED' })
})

test('takeValue() throws ERR_STILL_HELD while somebody has access', async () => {
  const mutex = new Mutex(1)
  const lock = new RwLock(1)
  using _sole = await mutex.lock()
  using _shared = await lock.read()

  assert.throws(() => mutex.takeValue(), { code: 'ERR_STILL_HELD' })
  assert.throws(() => lock.takeValue(), { code: 'ERR_STILL_HELD' })

  assert.equal(lock.isClosed, false)
})

test('read() lets many in, write() waits for all of them', async () => {
  const lock = new RwLock('value')
  const first = await lock.read()
  const second = await lock.read()
  const writer = watch(lock.write())

  assert.equal(lock.readerCount, 2)
  first.release()
  await settle()
  assert.equal(writer.state, 'pending')
  second.release()
  await settle()

  assert.equal(writer.state, 'fulfilled')
  assert.equal(lock.isWriteLocked, true)
})

test('read() does not overtake a waiting writer', async () => {
  const lock = new RwLock(0)
  const reader = await lock.read()
  const writer = watch(lock.write())
  const late = watch(lock.read())

  assert.equal(lock.tryRead(), null)
  await settle()
  assert.equal(late.state, 'pending')
  reader.release()
  await settle()

  assert.deepEqual([writer.state, late.state], ['fulfilled', 'pending'])
})

test('read() goes on with its neighbours, up to the next writer', async () => {
  const lock = new RwLock(0)
  const writer = await lock.write()
  const waits = [lock.read(), lock.read(), lock.write(), lock.read()].map((wait) => watch(wait))

  writer.release()
  await settle()

  const states = waits.map(({ state }) => state)
  assert.deepEqual(states, ['fulfilled', 'fulfilled', 'pending', 'pending'])
})

test('a writer that is cancelled lets the readers behind it go on', async () => {
  const lock = new RwLock(0)
  using _reader = await lock.read()
  const controller = new AbortController()
  const writer = watch(lock.write({ signal: controller.signal }))
  const late = watch(lock.read())

  controller.abort(new Error('gone'))
  await settle()

  assert.equal(writer.code, 'gone')
  assert.equal(late.state, 'fulfilled')
})

test('a writer that is cancelled with its task lets the readers behind it go on', async () => {
  const lock = new RwLock(0)
  using _reader = await lock.read()
  const task = spawn(async () => lock.write())
  await settle()
  const late = watch(lock.read())

  await task.cancel()
  await settle()

  assert.equal(late.state, 'fulfilled')
})

test('tryWrite() returns null while anybody has access', async () => {
  const lock = new RwLock(0)
  const reader = await lock.read()

  const refused = lock.tryWrite()
  reader.release()
  const writer = lock.tryWrite()

  assert.equal(refused, null)
  assert.equal(writer?.replace(5), 0)
  assert.equal(lock.tryRead(), null)
})

test('RwLock.close() fails those who wait with ERR_LOCK_CLOSED', async () => {
  const lock = new RwLock(0)
  const guard = await lock.write()
  const waits = [lock.read(), lock.write()]

  lock.close()

  for (const wait of waits) await assert.rejects(wait, { code: 'ERR_LOCK_CLOSED' })
  await assert.rejects(lock.read(), { code: 'ERR_LOCK_CLOSED' })
  assert.throws(() => lock.tryRead(), { code: 'ERR_LOCK_CLOSED' })
  assert.throws(() => lock.tryWrite(), { code: 'ERR_LOCK_CLOSED' })
  assert.equal(guard.value, 0)
})
