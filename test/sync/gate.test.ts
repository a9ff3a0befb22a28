import assert from 'node:assert/strict'
import { test } from 'node:test'
import { spawn, yieldNow } from '../../src/index.ts'
import { Event, Gate } from '../../src/sync/index.ts'
import { settle, watch } from './watch.ts'

test('enter() throws ERR_GATE_CLOSED after close()', async () => {
  const gate = new Gate()
  await gate.close()

  assert.throws(() => gate.enter(), { code: 'ERR_GATE_CLOSED' })
  await assert.rejects(
    gate.run(() => 1),
    { code: 'ERR_GATE_CLOSED' },
  )
})

test('close() waits for every pass', async () => {
  const gate = new Gate()
  const passes = [gate.enter(), gate.enter()]
  const closing = watch(gate.close())

  passes[0]!.leave()
  passes[0]!.leave()
  await settle()
  assert.equal(closing.state, 'pending')
  assert.deepEqual([gate.isOpen, gate.isClosed, gate.passCount], [false, false, 1])
  passes[1]!.leave()
  await settle()

  assert.equal(closing.state, 'fulfilled')
  assert.equal(gate.isClosed, true)
})

test('close() resolves for all who call it, before and after', async () => {
  const gate = new Gate()
  const pass = gate.enter()
  const closings = [gate.close(), gate.close()]

  pass.leave()
  await Promise.all(closings)
  await gate.close()

  assert.equal(gate.isClosed, true)
})

test('close() that is cut short leaves the gate closed, and can be repeated', async () => {
  const gate = new Gate()
  const pass = gate.enter()

  await assert.rejects(gate.close({ timeoutMs: 1 }), { code: 'ERR_TASK_TIMEOUT' })

  assert.equal(gate.isOpen, false)
  const closing = gate.close()
  pass.leave()
  await closing
})

test('run() holds a pass until the body has settled, and passes its outcome on', async () => {
  const gate = new Gate()
  const finish = new Event()
  const running = gate.run(async () => {
    await finish.wait()
    throw new Error('body')
  })
  const failing = assert.rejects(running, { message: 'body' })

  assert.equal(gate.passCount, 1)
  finish.set()
  await failing

  assert.equal(gate.passCount, 0)
})

test('spawn() holds a pass until the task has ended', async () => {
  const gate = new Gate()
  let isDone = false
  gate.spawn(async () => {
    await yieldNow()
    isDone = true
  })

  await gate.close()

  assert.equal(isDone, true)
})

test('spawn() gives the pass back when the task is cancelled before it starts', async () => {
  const gate = new Gate()
  const task = gate.spawn(() => 1)

  void task.cancel()
  await gate.close()

  assert.equal(task.state, 'cancelled')
})

test('spawn() gives the pass back when the body is no function', () => {
  const gate = new Gate()

  assert.throws(() => gate.spawn(1 as never), TypeError)

  assert.equal(gate.passCount, 0)
})

test('cancelling a task that waits in close() leaves the others waiting', async () => {
  const gate = new Gate()
  const pass = gate.enter()
  const task = spawn(async () => gate.close())
  await settle()
  const other = watch(gate.close())

  await task.cancel()
  await settle()
  assert.equal(other.state, 'pending')
  pass.leave()
  await settle()

  assert.equal(other.state, 'fulfilled')
})

test('await using closes the gate at the end of its block', async () => {
  let closed: Gate
  {
    await using gate = new Gate()
    gate.spawn(() => yieldNow())
    closed = gate
  }

  assert.equal(closed.isClosed, true)
})
