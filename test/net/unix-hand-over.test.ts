import assert from 'node:assert/strict'
import { TcpListener, TcpStream, UnixListener, UnixStream } from '../../src/net/index.ts'
import { testOnBoth } from './both-kernels.ts'
import { holdings, pattern } from './support.ts'
import { withFolder } from './with-folder.ts'

async function closeAll(...all: readonly { close(): Promise<void> }[]): Promise<void> {
  await Promise.all(all.map((each) => each.close()))
}

testOnBoth('a Unix stream that is detached goes on where it is adopted, nothing lost', async () => {
  const before = holdings()
  const [one, other] = UnixStream.pair()
  await one.write(pattern(0, 1000))
  assert.equal((await other.readLease())?.lengthBytes, 1000)
  await one.write(pattern(1000, 500))
  await one.shutdown()

  const ticket = structuredClone(await other.detach())
  const adopted = UnixStream.adopt(ticket)

  const chunks: Uint8Array[] = []
  for await (const chunk of adopted) chunks.push(chunk)
  assert.deepEqual(new Uint8Array(Buffer.concat(chunks)), pattern(1000, 500))
  await adopted.write(pattern(0, 3))
  assert.deepEqual(await one.read(), pattern(0, 3))
  assert.deepEqual([adopted.bytesRead, adopted.bytesWritten, other.fd], [1500, 3, -1])
  await assert.rejects(other.read(), { code: 'ERR_HANDLE_CLOSED' })
  assert.throws(() => UnixStream.adopt(ticket), { code: 'ERR_TICKET_SPENT' })
  await closeAll(one, adopted)
  assert.deepEqual(holdings().fdCount, before.fdCount)
})

testOnBoth('descriptors that have come go along with a stream that is detached', async () => {
  const [one, other] = UnixStream.pair()
  await one.sendDescriptors(pattern(0, 5), [one])
  await using first = await other.receiveDescriptors()
  await one.sendDescriptors(pattern(5, 5), [one, other])

  const adopted = UnixStream.adopt(await other.detach())
  await using message = await adopted.receiveDescriptors()

  assert.deepEqual([first?.descriptors.length, message?.descriptors.length], [1, 2])
  await closeAll(one, adopted)
})

testOnBoth('a stream that receives descriptors is not detached meanwhile', async () => {
  const [one, other] = UnixStream.pair()
  const waiting = other.receiveDescriptors()

  await assert.rejects(other.detach(), { code: 'ERR_STILL_HELD' })

  await one.write(pattern(0, 1))
  assert.equal((await waiting)?.data.length, 1)
  await closeAll(one, other)
})

testOnBoth('a ticket is of one kind of stream, and can be discarded', async () => {
  const [one, other] = UnixStream.pair()
  const ticket = await other.detach()

  assert.throws(() => TcpStream.adopt(ticket as never), TypeError)
  assert.throws(() => TcpStream.discard(ticket as never), TypeError)
  assert.equal(UnixStream.discard(ticket), true)
  assert.equal(UnixStream.discard(ticket), false)
  assert.equal(await one.read(), null)
  await one.close()
})

testOnBoth('listeners of one Unix socket each accept, and the last one removes its file', () =>
  withFolder(async (folder) => {
    const path = `${folder}/socket`
    const first = await UnixListener.bind({ path })
    const share = structuredClone(first.share())
    const second = UnixListener.adopt(share)
    assert.deepEqual(second.address, first.address)
    assert.deepEqual(second.share(), share)
    const accepting = [first.accept(), second.accept()]
    const clients = [await UnixStream.connect({ path }), await UnixStream.connect({ path })]
    await closeAll(...clients, ...(await Promise.all(accepting)))

    await first.close()
    const third = second.accept()
    const client = await UnixStream.connect({ path })
    await closeAll(client, await third)
    await second.close()

    await assert.rejects(UnixStream.connect({ path }), { code: 'ENOENT' })
    assert.throws(() => UnixListener.adopt(share), { code: 'ERR_HANDLE_CLOSED' })
    // Nobody has to find it stale.
    await (await UnixListener.bind({ path })).close()
  }),
)

testOnBoth('a share is of one kind of listener', async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  const share = listener.share()

  assert.throws(() => UnixListener.adopt(share as never), TypeError)
  assert.throws(
    () => UnixListener.adopt({ ...share, kind: 'UnixListener', file: { path: 1 } } as never),
    TypeError,
  )
})
