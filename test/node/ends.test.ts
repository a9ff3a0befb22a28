import { once } from 'node:events'
import type { Socket } from 'node:net'
import { behaves, immediate, logEvents, readAll, withResolvers } from './behaviours.ts'

const ENDS = ['end', 'finish', 'error', 'close']
const described = (name: string, value: unknown): string =>
  name === 'close'
    ? `close ${value}`
    : name === 'error'
      ? `error ${(value as { code?: string }).code}`
      : name
const closed = (socket: Socket): Promise<unknown> =>
  new Promise((resolve) => socket.on('close', resolve))

behaves(
  'test-net-end-close',
  'the end of the peer is followed by close',
  ['end', 'finish', 'close false'],
  async (bench) => {
    const { client, peer } = await bench.pair()
    const log = logEvents(client, ENDS, described)
    client.resume()
    peer.resume()
    peer.end()
    await closed(client)
    return log
  },
)
behaves(
  'test-net-socket-close-after-end',
  'close follows end, and nothing is readable or writable',
  [false, false, true, 'closed'],
  async (bench) => {
    const { client, peer } = await bench.pair()
    client.resume()
    peer.resume()
    peer.end('x')
    await closed(client)
    return [client.readable, client.writable, client.destroyed, client.readyState]
  },
)
behaves(
  'test-net-allow-half-open',
  'a half-open socket writes after the end of its peer',
  'answer',
  async (bench) => {
    const { client, peer } = await bench.pair({ allowHalfOpen: true })
    peer.on('end', () => setImmediate(() => peer.end('answer')))
    peer.resume()
    client.end('question')
    return await readAll(client)
  },
)
behaves(
  'test-net-socket-no-halfopen-enforcer',
  'allowHalfOpen is what it was made with',
  [true, false],
  ({ net }) => [
    new net.Socket({ allowHalfOpen: true }).allowHalfOpen,
    new net.Socket().allowHalfOpen,
  ],
)
behaves(
  'test-net-half-open',
  'a half-open socket is readOnly and writeOnly in turn',
  ['readOnly', 'writeOnly'],
  async (bench) => {
    const { client, peer } = await bench.pair({ allowHalfOpen: true }, { allowHalfOpen: true })
    client.end()
    const states = [client.readyState]
    peer.resume()
    await once(peer, 'end')
    await immediate()
    states.push(peer.readyState)
    return states
  },
)
behaves('test-net-socket-destroy-twice', 'destroy() twice closes once', 1, async (bench) => {
  const { client } = await bench.pair()
  let count = 0
  client.on('close', () => count++)
  client.destroy()
  client.destroy()
  await closed(client)
  await immediate()
  return count
})
behaves(
  'test-net-socket-destroy-with-error',
  'destroy() with an error emits that, then close with true',
  ['error MINE', 'close true'],
  async (bench) => {
    const { client } = await bench.pair()
    const log = logEvents(client, ENDS, described)
    client.destroy(Object.assign(new Error(), { code: 'MINE' }))
    await closed(client)
    return log
  },
)
behaves(
  'test-net-socket-destroy-send',
  'a write after destroy() fails, and emits nothing',
  ['ERR_STREAM_DESTROYED', []],
  async (bench) => {
    const { client } = await bench.pair()
    const log = logEvents(client, ['error'])
    client.destroy()
    const code = await new Promise((resolve) =>
      client.write('x', (error) => resolve((error as { code?: string }).code)),
    )
    await immediate()
    return [code, log]
  },
)
behaves(
  'test-net-write-after-end-nt',
  'a write after the peer has ended is EPIPE, and not before the next tick',
  ['EPIPE', 'This socket has been ended by the other party', true],
  async (bench) => {
    const { client, peer } = await bench.pair()
    client.resume()
    peer.resume()
    peer.end()
    await once(client, 'end')
    let hasReturned = false
    const told = new Promise<[Error & { code: string }, boolean]>((resolve) => {
      client.on('error', () => {})
      client.write('x', (error) => resolve([error as Error & { code: string }, hasReturned]))
    })
    hasReturned = true
    const [error, isLater] = await told
    return [error.code, error.message, isLater]
  },
)
behaves(
  'test-net-socket-write-after-close',
  'a write after end() is refused',
  'ERR_STREAM_WRITE_AFTER_END',
  async (bench) => {
    const { client } = await bench.pair({ allowHalfOpen: true })
    client.on('error', () => {})
    client.end()
    return await new Promise((resolve) =>
      client.write('x', (error) => resolve((error as { code?: string }).code)),
    )
  },
)
for (const [form, end] of Object.entries({
  'end(callback)': (socket: Socket, done: () => void) => socket.end(done),
  'end(data, callback)': (socket: Socket, done: () => void) => socket.end('abc', done),
  'end(data, encoding, callback)': (socket: Socket, done: () => void) =>
    socket.end('616263', 'hex', done),
})) {
  behaves(
    'test-net-socket-end-callback',
    `${form} calls back at finish`,
    form === 'end(callback)' ? '' : 'abc',
    async (bench) => {
      const { client, peer } = await bench.pair()
      const text = readAll(peer)
      await new Promise<void>((resolve) => end(client, resolve))
      return await text
    },
  )
}
behaves(
  'test-net-can-reset-send',
  'resetAndDestroy() gives the peer ECONNRESET',
  ['error ECONNRESET', 'close true', 'close false'],
  async (bench) => {
    const { client, peer } = await bench.pair()
    const log = logEvents(client, ['error', 'close'], described)
    client.resume()
    const both = [closed(client), closed(peer)]
    const own = logEvents(peer, ['error', 'close'], described)
    peer.resetAndDestroy()
    await Promise.all(both)
    return [...log, ...own]
  },
)
behaves(
  'test-net-error-fields',
  'a reset says what failed, as Node says it',
  { code: 'ECONNRESET', errno: -104, syscall: 'read', message: 'read ECONNRESET' },
  async (bench) => {
    const { client, peer } = await bench.pair()
    client.resume()
    peer.resetAndDestroy()
    const [error] = (await once(client, 'error')) as [Record<string, unknown>]
    const { code, errno, syscall, message } = error
    return { code, errno, syscall, message }
  },
)
behaves(
  'test-net-write-after-reset',
  'writes to a peer that is gone fail in the end',
  true,
  async (bench) => {
    const { client, peer } = await bench.pair({ allowHalfOpen: true }, { allowHalfOpen: true })
    client.pause()
    peer.destroy()
    const [error] = await Promise.all([
      once(client, 'error') as Promise<[{ code: string; syscall: string }]>,
      (async () => {
        while (!client.destroyed) {
          client.write('x')
          await immediate()
        }
      })(),
    ])
    return ['EPIPE', 'ECONNRESET'].includes(error[0].code)
  },
)
behaves(
  'test-net-destroysoon',
  'destroySoon() sends what was written first',
  ['all of it', true],
  async (bench) => {
    const { client, peer } = await bench.pair()
    client.write('all of it')
    client.destroySoon()
    const text = await readAll(peer)
    return [text, client.writableEnded]
  },
)
behaves(
  'test-net-during-close',
  'what is asked of a socket while it closes does no harm',
  [true, {}],
  async (bench) => {
    const { client } = await bench.pair()
    client.destroy()
    client.setNoDelay().setKeepAlive(true).setTimeout(10).unref()
    await closed(client)
    return [client.pending, client.address()]
  },
)
behaves(
  'test-net-autodestroy',
  'a socket that was ended and read to the end is destroyed by itself',
  [true, false],
  async (bench) => {
    const { client, peer } = await bench.pair({ allowHalfOpen: true })
    peer.resume()
    client.resume()
    client.end()
    await once(peer, 'end')
    const isOpen = peer.destroyed
    peer.end()
    await closed(client)
    return [client.destroyed, isOpen]
  },
)
behaves(
  'test-net-owned-chunks',
  'chunks keep what they hold, whatever comes later',
  true,
  async (bench) => {
    const { client, peer } = await bench.pair()
    const kept: Buffer[] = []
    client.on('data', (chunk: Buffer) => kept.push(chunk))
    for (let index = 0; index < 200; index++) {
      peer.write(Buffer.alloc(997, index))
      if (index % 20 === 0) await immediate()
    }
    peer.end()
    await once(client, 'end')
    const all = Buffer.concat(kept)
    return all.length === 199_400 && all.every((byte, index) => byte === Math.floor(index / 997))
  },
)
behaves(
  'test-net-onread-static-buffer',
  'onread gives what comes in one buffer, and false pauses',
  ['abcdefgh', 4, true],
  async (bench) => {
    const { promise, resolve } = withResolvers<Socket>()
    const { port } = await bench.serve(resolve)
    const buffer = Buffer.alloc(4)
    let text = ''
    let most = 0
    let isSame = true
    const client = bench.connect(port, {
      onread: {
        buffer,
        callback(bytesRead: number, given: Buffer): boolean {
          isSame &&= given === buffer
          most = Math.max(most, bytesRead)
          text += given.toString('latin1', 0, bytesRead)
          return true
        },
      },
    })
    const peer = await promise
    peer.end('abcdefgh')
    await once(client, 'end')
    return [text, most, isSame]
  },
)
behaves(
  'test-net-uncaught-listener',
  'an exception of a listener is an uncaught one, and others go on',
  ['mine', 'x'],
  async (bench) => {
    const { client, peer } = await bench.pair()
    const second = await bench.pair()
    const { promise, resolve } = withResolvers<string>()
    const before = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.once('uncaughtException', (error) => resolve(error.message))
    client.once('data', () => {
      throw new Error('mine')
    })
    peer.write('x')
    const message = await promise
    for (const listener of before) process.on('uncaughtException', listener)
    second.peer.end('x')
    return [message, await readAll(second.client)]
  },
)
