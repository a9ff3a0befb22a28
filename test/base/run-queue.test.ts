import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NO_QUEUE, Runnable, RunQueue } from '../../src/base/index.ts'

class Item extends Runnable {
  readonly value: number

  constructor(home: RunQueue, value: number) {
    super(home)
    this.value = value
  }

  override run(): void {}
}

class Queue extends RunQueue {
  readonly changes: string[] = []

  protected override becameRunnable(): void {
    this.changes.push('runnable')
  }

  protected override becameEmpty(): void {
    this.changes.push('empty')
  }
}

test('RunQueue does what an array does, whatever is pushed and popped when', () => {
  const actions = fc.array(fc.oneof(fc.constant('pop'), fc.constant('push'), fc.nat({ max: 300 })))
  fc.assert(
    fc.property(actions, (list) => {
      const queue = new Queue()
      const model: number[] = []
      let next = 0
      const push = (): void => {
        queue.push(new Item(queue, next))
        model.push(next++)
      }
      for (const action of list) {
        if (action === 'push') push()
        else if (action === 'pop') assert.equal((queue.pop() as Item | null)?.value, model.shift())
        else for (let i = 0; i < (action as number); i++) push()
        assert.equal(queue.length, model.length)
        assert.equal((queue.peek() as Item | null)?.value, model[0])
      }
    }),
  )
})

test('push() and pop() tell when the queue becomes runnable, and empty', () => {
  const queue = new Queue()

  queue.push(new Item(queue, 1))
  queue.push(new Item(queue, 2))
  queue.pop()
  assert.deepEqual(queue.changes, ['runnable'])
  queue.pop()
  queue.pop()
  queue.push(new Item(queue, 3))

  assert.deepEqual(queue.changes, ['runnable', 'empty', 'runnable'])
})

test('pop() of an empty queue is null', () => {
  assert.equal(new Queue().pop(), null)
})

test('NO_QUEUE takes nothing', () => {
  assert.throws(() => NO_QUEUE.push(new Item(NO_QUEUE, 1)), { code: 'ERR_ASSERTION' })
})
