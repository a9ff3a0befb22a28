import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DeadlineHeap, type HeapEntry } from '../../src/base/index.ts'

interface Entry extends HeapEntry {
  readonly deadlineNs: number
  readonly order: number
}

const inOrder = (a: Entry, b: Entry): number => a.deadlineNs - b.deadlineNs || a.order - b.order

test('DeadlineHeap does what a sorted array does, whatever is pushed, popped and removed when', () => {
  const action = fc.oneof(
    fc.record({ kind: fc.constant('push' as const), value: fc.integer({ min: 0, max: 50 }) }),
    fc.record({ kind: fc.constant('pop' as const), value: fc.integer({ min: 0, max: 50 }) }),
    fc.record({ kind: fc.constant('remove' as const), value: fc.nat() }),
  )
  fc.assert(
    fc.property(fc.array(action, { maxLength: 400 }), (actions) => {
      const heap = new DeadlineHeap<Entry>()
      const model: Entry[] = []
      let order = 0
      for (const { kind, value } of actions) {
        if (kind === 'push') {
          const added = { deadlineNs: value, order: order++, heapIndex: -1 }
          heap.push(added, value)
          model.push(added)
          model.sort(inOrder)
        } else if (kind === 'pop') {
          const isDue = model.length > 0 && model[0]!.deadlineNs <= value
          assert.equal(heap.pop(value), isDue ? model.shift() : null)
        } else if (model.length > 0) {
          const [removed] = model.splice(value % model.length, 1)
          heap.remove(removed!)
          assert.equal(removed!.heapIndex, -1)
        }
        assert.equal(heap.size, model.length)
        assert.equal(heap.firstNs, model[0]?.deadlineNs ?? Infinity)
        assert.deepEqual(heap.sorted(), model)
      }
    }),
  )
})

test('DeadlineHeap keeps the order of equal deadlines among more than it has room for at first', () => {
  const heap = new DeadlineHeap<Entry>()
  const count = 1_000
  for (let order = 0; order < count; order++) {
    heap.push({ deadlineNs: 7, order, heapIndex: -1 }, 7)
  }

  const orders: number[] = []
  for (let entry = heap.pop(7); entry !== null; entry = heap.pop(7)) orders.push(entry.order)

  assert.deepEqual(
    orders,
    Array.from({ length: count }, (_, order) => order),
  )
})

test('DeadlineHeap refuses an entry that is in a heap, and to remove one that is not', () => {
  const heap = new DeadlineHeap<Entry>()
  const only = { deadlineNs: 1, order: 0, heapIndex: -1 }
  heap.push(only, 1)

  assert.throws(() => heap.push(only, 1), { code: 'ERR_ASSERTION' })
  heap.remove(only)
  assert.throws(() => heap.remove(only), { code: 'ERR_ASSERTION' })
})
