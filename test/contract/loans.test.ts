/** Memory that one executor of the process lends to another. */
import assert from 'node:assert/strict'
import { ENOENT, type Kernel, LOAN_INBOXES, type LoopHost } from '../../src/kernel/index.ts'
import { contract } from '../../src/testing/index.ts'

const INBOX = 7
const LENGTH = 64 * 1024
/** Within a unit, which ArrayBuffers cannot begin in. */
const OFFSET = 512 + 3

function attach(kernel: Kernel): LoopHost {
  const host = kernel.attachLoop(() => {})
  assert.ok(typeof host !== 'number')
  return host
}

contract('a part that is lent is seen once, where it is, and named when it is back', (kernel) => {
  const host = attach(kernel)
  const memory = kernel.allocate(LENGTH)
  const name = host.lendMemory(memory, OFFSET, 100, INBOX)

  const bytes = kernel.borrowMemory(name)

  assert.ok(typeof bytes !== 'number')
  memory.bytes[OFFSET] = 9
  assert.deepEqual([bytes.length, bytes[0]], [100, 9])
  assert.equal(kernel.borrowMemory(name), -ENOENT)
  assert.equal(kernel.dropLoan(name), -ENOENT)
  assert.ok(host.takeReturned() < 0)
  assert.equal(kernel.returnMemory(name, bytes), host.id * LOAN_INBOXES + INBOX)
  assert.equal(kernel.borrowMemory(name), -ENOENT)
  assert.equal(host.takeReturned(), name)
  assert.ok(host.takeReturned() < 0)
  host.detach()
})

contract('an offer that nobody takes can be taken back, once', (kernel) => {
  const host = attach(kernel)
  const name = host.lendMemory(kernel.allocate(LENGTH), 0, LENGTH, INBOX)

  assert.equal(kernel.dropLoan(name), host.id * LOAN_INBOXES + INBOX)

  assert.equal(kernel.dropLoan(name), -ENOENT)
  assert.equal(kernel.borrowMemory(name), -ENOENT)
  assert.equal(host.takeReturned(), name)
  assert.equal(kernel.dropLoan(name), -ENOENT)
  host.detach()
})

contract(
  'what a loop that is left has lent stays for who has it, and for nobody else',
  (kernel) => {
    const host = attach(kernel)
    const memory = kernel.allocate(LENGTH)
    const [held, offered, back] = [1, 2, 3].map((value) => {
      memory.bytes.fill(value, value * 512, value * 512 + 10)
      return host.lendMemory(memory, value * 512, 10, INBOX)
    }) as [number, number, number]
    const bytes = kernel.borrowMemory(held)
    kernel.dropLoan(back)

    host.detach()

    assert.ok(typeof bytes !== 'number')
    assert.deepEqual([...bytes], Array(10).fill(1))
    for (const name of [offered, back]) assert.equal(kernel.borrowMemory(name), -ENOENT)
    assert.equal(kernel.returnMemory(held, bytes), 0)
    assert.equal(kernel.borrowMemory(held), -ENOENT)
  },
)

contract('names that nobody was given stand for nothing', (kernel) => {
  for (const name of [0, 1, 2 ** 21, 2 ** 52, Number.MAX_SAFE_INTEGER, -1, 0.5, Number.NaN]) {
    assert.equal(kernel.borrowMemory(name), -ENOENT)
    assert.equal(kernel.dropLoan(name), -ENOENT)
  }
})
