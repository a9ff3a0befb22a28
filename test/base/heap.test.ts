import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Heap, type HeapEntry } from '../../src/base/index.ts'

interface Entry extends HeapEntry {
  readonly key: number
}

function entry(key: number): Entry {
  return { key, heapIndex: -1 }
}

const isBefore = (a: Entry, b: Entry): boolean => a.key < b.key

test('Heap does what a sorted array does, whatever is pushed, popped and removed when', () => {
  const action = fc.oneof(
    fc.record({ kind: fc.constant('push' as const), value: fc.integer({ min: -50, max: 50 }) }),
    fc.record({ kind: fc.constant('pop' as const), value: fc.constant(0) }),
    fc.record({ kind: fc.constant('remove' as const), value: fc.nat() }),
  )
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
      const heap = new Heap(isBefore)
      const model: Entry[] = []
      for (const { kind, value } of actions) {
        if (kind === 'push') {
          const added = entry(value)
          heap.push(added)
          model.push(added)
        } else if (kind === 'pop') {
          const popped = heap.pop()
          assert.equal(popped?.key, model.sort((a, b) => a.key - b.key)[0]?.key)
          if (popped !== undefined) model.splice(model.indexOf(popped), 1)
        } else if (model.length > 0) {
          const [removed] = model.splice(value % model.length, 1)
          heap.remove(removed!)
          assert.equal(removed!.heapIndex, -1)
        }
        assert.equal(heap.size, model.length)
        const smallest = Math.min(...model.map(({ key }) => key))
        assert.equal(heap.peek()?.key, model.length === 0 ? undefined : smallest)
      }
    }),
  )
})

test('push(), pop() and remove() compare at most twice per level', () => {
  const levelCount = 12
  let comparisonCount = 0
  const heap = new Heap<Entry>((a, b) => {
    comparisonCount++
    return isBefore(a, b)
  })
  const entries = Array.from({ length: 2 ** levelCount - 1 }, (_, index) => entry(-index))
  const mostOf = (action: (each: Entry) => void, all: readonly Entry[]): number => {
    const counts = all.map((each) => {
      comparisonCount = 0
      action(each)
      return comparisonCount
    })
    return Math.max(...counts)
  }

  const pushed = mostOf((each) => heap.push(each), entries)
  const removed = mostOf((each) => heap.remove(each), entries.slice(0, 1000))
  const popped = mostOf(() => heap.pop(), entries.slice(1000))

  assert.ok(pushed <= levelCount, `${pushed} comparisons of a push`)
  assert.ok(removed <= 2 * levelCount, `${removed} comparisons of a removal`)
  assert.ok(popped <= 2 * levelCount, `${popped} comparisons of a pop`)
  assert.ok(heap.size === 0)
})

test('push() of an entry that is in a heap is refused', () => {
  const heap = new Heap(isBefore)
  const only = entry(1)
  heap.push(only)

  assert.throws(() => heap.push(only), { code: 'ERR_ASSERTION' })
})

test('remove() of an entry of another heap is refused', () => {
  const [heap, other] = [new Heap(isBefore), new Heap(isBefore)]
  const foreign = entry(1)
  heap.push(entry(2))
  other.push(foreign)

  assert.throws(() => heap.remove(foreign), { code: 'ERR_ASSERTION' })
})
