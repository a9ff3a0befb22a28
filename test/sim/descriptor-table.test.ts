import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Description, DescriptorTable } from '../../src/sim/descriptors.ts'

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

test('DescriptorTable.install() gives the lowest free descriptor, in whatever order they were closed', () => {
  const { table, fds } = openTable(6)
  for (const index of [4, 1, 5, 2]) table.close(fds[index]!)

  const given = [1, 2, 4, 5].map(() => table.install(new Nothing()))

  assert.deepEqual(
    given,
    [1, 2, 4, 5].map((index) => fds[index]),
  )
})
