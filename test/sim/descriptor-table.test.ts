import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Description, DescriptorTable } from '../../src/sim/descriptors.ts'

const FEW = 1_000
const MANY = 64_000
const REOPENINGS = 200
const ROUNDS = 20

class Nothing extends Description {
  override readonly label = 'nothing'

  override readiness(): number {
    return 0
  }

  protected override dispose(): void {}
}

function openTable(count: number): { table: DescriptorTable; fds: number[] } {
  const table = new DescriptorTable(count)
  const fds: number[] = []
  for (let index = 0; index < count; index++) fds.push(table.install(new Nothing()))
  return { table, fds }
}

/** The least time that it takes to close the last of so many descriptors and open it again. */
function reopeningNs(count: number): number {
  const { table, fds } = openTable(count)
  const description = new Nothing()
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const from = process.hrtime.bigint()
    for (let index = 0; index < REOPENINGS; index++) {
      table.close(fds.at(-1)!)
      table.install(description)
    }
    least = Math.min(least, Number(process.hrtime.bigint() - from))
  }
  return least
}

test('DescriptorTable.install() gives the lowest free descriptor, in whatever order they were closed', () => {
  const { table, fds } = openTable(6)
  for (const index of [4, 1, 5, 2]) table.close(fds[index]!)

  const given = [1, 2, 4, 5].map(() => table.install(new Nothing()))

  assert.deepEqual(
    given,
    [1, 2, 4, 5].map((index) => fds[index]),
  )
})

test('DescriptorTable.install() costs the same however many are open', () => {
  reopeningNs(FEW)
  const growth = reopeningNs(MANY) / reopeningNs(FEW)

  // A search from the first would cost 64 times.
  assert.ok(growth < 8, `${MANY} open cost ${growth.toFixed(1)} times what ${FEW} do`)
})
