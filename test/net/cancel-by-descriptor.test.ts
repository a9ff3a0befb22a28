/** Closing a busy stream cancels by its descriptor, whose number the next stream gets: that is never hit. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTaskQueue, spawnInto, type TaskQueue } from '../../src/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { type SimFaults, simulate } from '../../src/testing/index.ts'
import { limited, seedCount } from '../limits.ts'

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
