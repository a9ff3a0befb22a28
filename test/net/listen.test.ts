import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertSameListeners, type ListenOptions } from '../../src/net/index.ts'

function compare(one: ListenOptions, other: ListenOptions): void {
  assertSameListeners({ name: 'shard 0', options: one }, { name: 'shard 1', options: other })
}

test('assertSameListeners() takes an option that is not given for its default', () => {
  compare({ port: 1 }, { port: 1 })
  compare(
    { port: 1, noDelay: true, timeoutMs: 5 },
    { port: 1, host: 'localhost', backlog: 1024, reusePort: false, reuseAddress: true },
  )
})

test('assertSameListeners() names each option that differs, with both values', () => {
  assert.throws(() => compare({ port: 1, backlog: 7 }, { port: 2, noDelay: false }), {
    code: 'ERR_LISTENERS_DIFFER',
    message:
      'Cannot listen as all listeners of a port must be alike: port is 1 on shard 0, and 2 on shard 1; ' +
      'backlog is 7 on shard 0, and 1024 on shard 1; noDelay is true on shard 0, and false on shard 1',
  })
  for (const other of [
    { port: 1, host: '127.0.0.1' },
    { port: 1, family: 'ipv4' },
    { port: 1, reusePort: true },
    { port: 1, reuseAddress: false },
  ] as const) {
    assert.throws(() => compare({ port: 1 }, other), { code: 'ERR_LISTENERS_DIFFER' })
    assert.throws(() => compare(other, { port: 1 }), { code: 'ERR_LISTENERS_DIFFER' })
  }
})

test('assertSameListeners() refuses options that no listener can have', () => {
  assert.throws(() => compare({ port: 1 }, { port: -1 }), RangeError)
  assert.throws(() => compare({ port: 1, backlogs: 1 } as never, { port: 1 }), TypeError)
})
