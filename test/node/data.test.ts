import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { behaves, immediate, readAll, thrownBy, withResolvers } from './behaviours.ts'

const closed = (socket: Socket): Promise<unknown> =>
  new Promise((resolve) => socket.on('close', resolve))

behaves('test-net-binary', 'all values of a byte come as they were', true, async (bench) => {
  const { client, peer } = await bench.pair()
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, value) => value))
  client.end(bytes)
  return bytes.equals(Buffer.from(await readAll(peer), 'latin1'))
})
for (const [encoding, text] of [
  ['utf8', 'grüße €'],
  ['latin1', 'grüße'],
  ['utf16le', 'grüße €'],
  ['hex', '00ff10'],
  ['base64', 'AP8Q'],
] as const) {
  behaves(
    'test-net-write-arguments',
    `write() takes text in ${encoding}`,
    Buffer.from(text, encoding).toString('latin1'),
    async (bench) => {
      const { client, peer } = await bench.pair()
      client.write(text, encoding)
      client.end()
      return await readAll(peer)
    },
  )
}
for (const value of [null, undefined, 1, true, {}, []] as unknown[]) {
  behaves(
    'test-net-write-arguments',
    `write() refuses ${String(JSON.stringify(value))}`,
    value === null ? 'ERR_STREAM_NULL_VALUES' : 'ERR_INVALID_ARG_TYPE',
    ({ net }) => thrownBy(() => new net.Socket().write(value as string)),
  )
}
behaves(
  'test-net-write-arguments',
  'write() takes a Uint8Array, and gives the listener a Buffer',
  [true, 3],
  async (bench) => {
    const { client, peer } = await bench.pair()
    client.write(new Uint8Array([1, 2, 3]))
    const [chunk] = (await once(peer, 'data')) as [Buffer]
    return [Buffer.isBuffer(chunk), chunk.length]
  },
)
behaves('test-net-large-string', 'a large text comes whole', [300_000, 'ü'], async (bench) => {
  const { client, peer } = await bench.pair()
  client.end('ü'.repeat(300_000))
  const text = Buffer.from(await readAll(peer), 'latin1').toString('utf8')
  return [text.length, text.at(-1)]
})
behaves('test-net-bytes-stats', 'bytes are counted on both sides', [5, 5, 4, 4], async (bench) => {
  const { client, peer } = await bench.pair({ allowHalfOpen: true })
  client.end('hello')
  peer.resume()
  await once(peer, 'end')
  peer.end('ello')
  client.resume()
  await closed(client)
  return [client.bytesWritten, peer.bytesRead, peer.bytesWritten, client.bytesRead]
})
behaves(
  'test-net-socket-byteswritten',
  'corked writes go out together, and are counted',
  ['one2three', 9],
  async (bench) => {
    const { client, peer } = await bench.pair()
    client.cork()
    client.write('one')
    client.write(Buffer.from('2'))
    client.write(new Uint8Array(Buffer.from('three')))
    const counted = client.bytesWritten
    client.end()
    return [await readAll(peer), counted]
  },
)
behaves('test-net-sync-cork', 'what is corked comes as one chunk', 1, async (bench) => {
  const { client, peer } = await bench.pair()
  let count = 0
  peer.on('data', () => count++)
  client.cork()
  for (let index = 0; index < 100; index++) client.write('x')
  client.uncork()
  client.end()
  await once(peer, 'end')
  return count
})
behaves('test-net-writev-mixed', 'corked pieces of any size stay in order', true, async (bench) => {
  const { client, peer } = await bench.pair()
  const sizes = [1, 5000, 0, 70_000, 3, 3, 4095, 4096, 200_000, 2]
  const pieces = sizes.map((size, index) => Buffer.alloc(size, index + 1))
  client.cork()
  for (const piece of pieces) client.write(piece)
  client.uncork()
  client.end()
  return Buffer.concat(pieces).equals(Buffer.from(await readAll(peer), 'latin1'))
})
behaves(
  'test-net-write-cb',
  'callbacks of writes come in their order',
  [0, 1, 2, 3, 4],
  async (bench) => {
    const { client, peer } = await bench.pair()
    peer.resume()
    const order: number[] = []
    await new Promise<void>((resolve) => {
      for (let index = 0; index < 5; index++) {
        client.write('x', () => {
          order.push(index)
          if (index === 4) resolve()
        })
      }
    })
    return order
  },
)
behaves(
  'test-net-buffersize',
  'writableLength falls to 0 once all is sent',
  [true, 0],
  async (bench) => {
    const { client, peer } = await bench.pair()
    peer.resume()
    client.cork()
    client.write('x'.repeat(1000))
    const before = client.writableLength >= 1000
    client.uncork()
    await new Promise<void>((resolve) => client.write('y', () => resolve()))
    return [before, client.writableLength]
  },
)
behaves(
  'test-net-throttle',
  'write() returns false, and drain comes once the peer reads',
  [true, 'drain', true],
  async (bench) => {
    const { client, peer } = await bench.pair()
    peer.pause()
    const piece = Buffer.alloc(1 << 20)
    let count = 1
    while (client.write(piece)) count++
    // Until neither the kernel nor anybody between takes more.
    for (; count < 32; count++) client.write(piece)
    const isFull = client.writableLength > 0
    const drained = once(client, 'drain').then(() => 'drain')
    let lengthBytes = 0
    peer.on('data', (chunk: Buffer) => {
      lengthBytes += chunk.length
    })
    peer.resume()
    const told = await drained
    client.end()
    await once(peer, 'end')
    return [isFull, told, lengthBytes === count << 20]
  },
)
behaves(
  'test-net-write-slow',
  'a reader that pauses after each chunk gets all',
  2_000_000,
  async (bench) => {
    const { client, peer } = await bench.pair()
    let lengthBytes = 0
    peer.on('data', (chunk: Buffer) => {
      lengthBytes += chunk.length
      peer.pause()
      setImmediate(() => peer.resume())
    })
    client.end(Buffer.alloc(2_000_000))
    await once(peer, 'end')
    return lengthBytes
  },
)
behaves(
  'test-net-pause-resume-connecting',
  'a socket that is paused gives nothing until it is resumed',
  [0, 'data'],
  async (bench) => {
    const { client, peer } = await bench.pair()
    let text = ''
    client.on('data', (chunk) => {
      text += chunk
    })
    client.pause()
    await new Promise<void>((resolve) => peer.write('data', () => resolve()))
    await sleep(20)
    const before = text.length
    client.resume()
    if (text === '') await once(client, 'data')
    return [before, text]
  },
)
behaves(
  'test-net-bytes-read-paused',
  'a reader of readable events gets all',
  'abcdef',
  async (bench) => {
    const { client, peer } = await bench.pair()
    const { promise, resolve } = withResolvers<string>()
    let text = ''
    client.on('readable', () => {
      for (let chunk = client.read(); chunk !== null; chunk = client.read()) text += chunk
    })
    client.on('end', () => resolve(text))
    peer.write('abc')
    peer.end('def')
    return await promise
  },
)
behaves(
  'test-net-stream-encoding',
  'setEncoding() gives text, also of characters that are cut',
  'grüße',
  async (bench) => {
    const { client, peer } = await bench.pair()
    client.setEncoding('utf8')
    let text = ''
    client.on('data', (part: string) => {
      text += part
    })
    for (const byte of Buffer.from('grüße')) {
      peer.write(Uint8Array.of(byte))
      await immediate()
    }
    peer.end()
    await once(client, 'end')
    return text
  },
)
behaves('test-net-pingpong', 'a thousand messages go to and fro', 1000, async (bench) => {
  const { client, peer } = await bench.pair()
  peer.pipe(peer)
  let count = 0
  client.on('data', () => {
    if (++count === 1000) client.end()
    else client.write('p')
  })
  client.write('p')
  await once(client, 'end')
  return count
})
behaves('test-net-pipe', 'pipe() of a socket to itself echoes all', 1_000_000, async (bench) => {
  const { client, peer } = await bench.pair({ allowHalfOpen: true })
  peer.pipe(peer)
  client.end(Buffer.alloc(1_000_000))
  return (await readAll(client)).length
})
