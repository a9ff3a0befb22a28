import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ShardLink } from '../../examples/redis/link.ts'
import { decodeMessage, encodeMessage } from '../../examples/redis/messages.ts'
import { Store } from '../../examples/redis/store.ts'
import { createMesh, joinMesh } from '../../src/channels/index.ts'
import { simulate } from '../../src/testing/index.ts'

test('replies of a shard that is known to have ended are too late, and no failure of others', () =>
  simulate(1, async () => {
    const mesh = createMesh<Uint8Array>({ shards: 3, capacity: 8 })
    const link = new ShardLink(joinMesh(mesh, 0), new Store({ bytesMax: 1024 }))
    const other = joinMesh(mesh, 1)
    using third = joinMesh(mesh, 2)
    const first = link.ask(1, [['GET', 'key']])
    const { id } = decodeMessage((await other.receiver.receive())!.value)
    await other.send(0, encodeMessage({ kind: 'replies', id, lists: [['$-1\r\n']] }))
    other[Symbol.dispose]()

    // The link has not received yet what came, and finds that nobody is there.
    assert.equal(await link.ask(1, [['GET', 'key']]), null)
    assert.equal(await first, null)
    await link.finish()
    const serving = link.serve()
    await third.send(0, encodeMessage({ kind: 'done', id: 0, lists: [] }))
    await serving

    assert.equal(await link.ask(1, [['GET', 'key']]), null)
  }))
