/** Closing a busy stream cancels by its descriptor, whose number the next stream gets: that is never hit. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTaskQueue, executor, spawnInto, type TaskQueue } from '../../src/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { type SimFaults, simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { limited, seedCount } from '../limits.ts'
import { refuseEntries } from '../ring/refuse.ts'

const ROUNDS = 20
const HANDLE_CLOSED = { code: 'ERR_HANDLE_CLOSED' }
const FAULTS: SimFaults = { delay: 0.3, reorder: 0.5 }

async function connect(listener: TcpListener): Promise<[TcpStream, TcpStream]> {
  const accepting = listener.accept()
  const client = await TcpStream.connect({ port: listener.address.port })
  return [client, await accepting]
}

/** Closes streams on which a read waits, each while others are opened and read at once. */
async function closeBesideOpening(listener: TcpListener): Promise<void> {
  let [client, server] = await connect(listener)
  for (let round = 0; round < ROUNDS; round++) {
    const cut = assert.rejects(server.read(), HANDLE_CLOSED)
    const closing = server.close()
    const [nextClient, nextServer] = await connect(listener)
    const [read] = await Promise.all([
      nextServer.read(),
      nextClient.write(new Uint8Array([round])),
      cut,
      closing,
      client.close(),
    ])
    assert.deepEqual([...read!], [round])
    client = nextClient
    server = nextServer
  }
  await Promise.all([client.close(), server.close()])
}

/** How often a descriptor was opened whose number a stream that was closed busy had had. */
function reuseCount(lines: readonly string[]): number {
  const closed = new Set<string>()
  let count = 0
  for (const line of lines) {
    const close = /CLOSE fd (\d+) .*-> 0$/.exec(line)
    if (close !== null) closed.add(close[1]!)
    const open = /(?:ACCEPT|SOCKET) .*-> (\d+)( more)?$/.exec(line)
    if (open !== null && closed.delete(open[1]!)) count++
  }
  return count
}

test(
  'close() of a busy stream cancels nothing of the next owner of its number',
  limited(120_000),
  async () => {
    for (let seed = 1; seed <= seedCount(30); seed++) {
      const lines: string[] = []

      await simulate({ seed, faults: FAULTS, trace: (line) => lines.push(line) }, async () => {
        const queues: (TaskQueue | null)[] = [
          null,
          createTaskQueue('urgent', { latency: { maxMs: 1 } }),
        ]
        await Promise.all(
          queues.map(async (queue) => {
            await using listener = await TcpListener.bind({ port: 0 })
            if (queue === null) await closeBesideOpening(listener)
            else await spawnInto(queue, () => closeBesideOpening(listener))
          }),
        )
      })

      assert.ok(reuseCount(lines) > ROUNDS, `numbers were used again ${reuseCount(lines)} times`)
      const cancels = lines.filter((line) => line.includes('ASYNC_CANCEL'))
      assert.ok(cancels.length >= ROUNDS, `${cancels.length} cancels`)
    }
  },
)

test('a cancel that the ring refuses comes too late for the next owner of the number', async (t) => {
  const lines: string[] = []
  await simulate({ seed: 1, trace: (line) => lines.push(line) }, async () => {
    await using listener = await TcpListener.bind({ port: 0 })
    const [client, server] = await connect(listener)
    const cut = assert.rejects(server.read(), HANDLE_CLOSED)

    // The cancels by descriptor and by name: the latter is tried again 100 ms later.
    const restore = refuseEntries(t, executor().io.main, 0, 2)
    const closing = server.close()
    assert.ok(restore())
    await Promise.all([client.close(), closing, cut])
    const [nextClient, nextServer] = await connect(listener)
    const reading = nextServer.read()
    await sleep(200)
    await nextClient.write(new Uint8Array([1]))

    assert.deepEqual([...(await reading)!], [1])
    await Promise.all([nextClient.close(), nextServer.close()])
  })
  assert.ok(reuseCount(lines) > 0, 'the number is used again')
  const late = lines.filter((line) => line.includes('ASYNC_CANCEL'))
  assert.ok(late.length > 0, 'the cancel comes')
})
