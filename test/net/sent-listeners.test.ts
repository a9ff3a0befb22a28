/** Listeners that several processes have, each by a descriptor that was sent. */
import assert from 'node:assert/strict'
import {
  type OwnedDescriptor,
  TcpListener,
  TcpStream,
  UnixListener,
  UnixStream,
} from '../../src/net/index.ts'
import { testOnBoth } from './both-kernels.ts'
import { pattern } from './support.ts'
import { withFolder } from './with-folder.ts'

type Listener = TcpListener | UnixListener

/** Sends a listener over a pair, as to another process, and adopts it. */
async function send<Either extends Listener>(
  listener: Either,
  kind: { adopt(from: OwnedDescriptor): Either },
): Promise<Either> {
  const [one, other] = UnixStream.pair()
  await one.sendDescriptors(pattern(0, 1), [listener])
  const message = await other.receiveDescriptors()
  const same = kind.adopt(message!.descriptors[0]!)
  await Promise.all([one.close(), other.close()])
  return same
}

testOnBoth('a Unix listener that was sent keeps its file while it listens elsewhere', () =>
  withFolder(async (folder) => {
    const path = `${folder}/socket`
    const listener = await UnixListener.bind({ path })
    const same = await send(listener, UnixListener)

    await Promise.all([listener.close(), listener.close()])

    const accepting = same.accept()
    const client = await UnixStream.connect({ path })
    await Promise.all([(await accepting).close(), client.close()])
    await same.close()
    await assert.rejects(UnixStream.connect({ path }), { code: 'ECONNREFUSED' })
  }),
)

testOnBoth('a Unix listener that was sent removes its file when nobody else listens any more', () =>
  withFolder(async (folder) => {
    const path = `${folder}/socket`
    const listener = await UnixListener.bind({ path })
    await (await send(listener, UnixListener)).close()

    await listener.close()

    await assert.rejects(UnixStream.connect({ path }), { code: 'ENOENT' })
  }),
)

/** Accepts until it is closed: how many there were. */
async function countAccepted(listener: TcpListener): Promise<number> {
  let count = 0
  for await (const stream of listener) {
    count++
    await stream.close()
  }
  return count
}

testOnBoth('all who have a listener take connections in turns, who sent it too', async () => {
  const listener = await TcpListener.bind({ port: 0 })
  const counting = [countAccepted(listener)]
  const others = [await send(listener, TcpListener), await send(listener, TcpListener)]
  counting.push(...others.map(countAccepted))

  for (let done = 0; done < 30; done++) {
    await using client = await TcpStream.connect({ port: listener.address.port })
    assert.equal(await client.read(), null)
  }

  await Promise.all([listener, ...others].map((each) => each.close()))
  const counts = await Promise.all(counting)
  assert.equal(counts[0]! + counts[1]! + counts[2]!, 30)
  for (const count of counts) assert.ok(count >= 5, `shares are ${counts.join(', ')}`)
})
