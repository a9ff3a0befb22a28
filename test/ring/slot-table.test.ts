import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NO_QUEUE } from '../../src/base/index.ts'
import { SLOT_BACKGROUND, SLOT_DESCRIPTOR, SlotTable } from '../../src/ring/slot-table.ts'
import { CountingOperation } from '../executor/operations.ts'

function operation(): CountingOperation {
  return new CountingOperation(NO_QUEUE)
}

test('SlotTable gives no slot twice, and no name twice, whatever is taken and freed when', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 3 }), { maxLength: 400 }), (actions) => {
      const table = new SlotTable()
      const taken: CountingOperation[] = []
      const names = new Set<string>()
      for (const action of actions) {
        if (action === 0 && taken.length > 0) {
          const freed = taken.shift()!
          table.end(freed.slot, table.names[freed.slot]!)
          assert.ok(!table.holds(freed))
        } else {
          const one = operation()
          one.slot = table.take(one)
          const name = table.begin(one.slot, 0)
          assert.ok(name >= 0 && !names.has(`${one.slot} ${name}`))
          names.add(`${one.slot} ${name}`)
          taken.push(one)
        }
        assert.equal(table.size, taken.length)
        assert.ok(taken.every((one) => table.holds(one)))
      }
      assert.deepEqual(new Set(table.inFlight()), new Set(taken))
    }),
  )
})

test('a table that grows keeps what is in flight', () => {
  const table = new SlotTable()
  const all = Array.from({ length: 1000 }, () => {
    const one = operation()
    one.slot = table.take(one)
    table.begin(one.slot, 0)
    return one
  })

  assert.equal(new Set(all.map(({ slot }) => slot)).size, 1000)
  assert.ok(all.every((one) => table.holds(one)))
})

test('a slot has another name for each request', () => {
  const table = new SlotTable()
  const one = operation()

  const names = Array.from({ length: 5 }, () => {
    one.slot = table.take(one)
    const name = table.begin(one.slot, 0)
    assert.ok(table.holds(one))
    table.end(one.slot, name)
    assert.ok(!table.holds(one))
    return name
  })

  assert.equal(new Set(names).size, 5)
  assert.equal(table.size, 0)
})

test('deliverNothing() gives the request another name, under which it is still in flight', () => {
  const table = new SlotTable()
  const one = operation()
  one.slot = table.take(one)
  const name = table.begin(one.slot, SLOT_DESCRIPTOR)

  const renamed = table.deliverNothing(one.slot)

  assert.equal(renamed, name & ~SLOT_DESCRIPTOR)
  assert.equal(table.names[one.slot], renamed)
  assert.ok(table.holds(one))
})

test('names say what their slot is used for, also after the generations have wrapped', () => {
  const table = new SlotTable()
  const one = operation()
  one.slot = table.take(one)
  table.names[one.slot] = ~0x7fffffe0 // the one before the last

  for (let i = 0; i < 4; i++) {
    const name = table.begin(one.slot, SLOT_BACKGROUND)
    assert.equal(name & 3, SLOT_BACKGROUND)
    assert.ok(name >= 0)
    table.end(one.slot, name)
    assert.equal(table.take(one), one.slot)
  }
})

test('begin() refuses a slot that a request is in flight in', () => {
  const table = new SlotTable()
  const one = operation()
  one.slot = table.take(one)
  const name = table.begin(one.slot, 0)

  assert.throws(() => table.begin(one.slot, 0), { code: 'ERR_ASSERTION' })
  table.end(one.slot, name)
  table.begin(table.take(one), 0)
})
