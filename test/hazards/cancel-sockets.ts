/** Connections, all of whose operations may be given up; every byte is checked. */

import assert from 'node:assert/strict'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import type { NetRing } from '../../src/net/memory/net-ring.ts'
import { readRandomly, writeRandomly } from '../net/random-traffic.ts'
import { Pair } from '../net/support.ts'
import { type Cancels, STOPPED } from './cancels.ts'

const USERS = 16
const WRITES = 50

/** Talks and connects until so many operations were given up. */
export async function cancelSockets(cancels: Cancels, countMin: number): Promise<void> {
  await using listener = await TcpListener.bind({ host: '127.0.0.1', port: 0 })
  const isEnough = (): boolean => cancels.askedCount >= countMin
  const accepting = acceptAll(listener, cancels)
  await Promise.all(
    Array.from({ length: USERS }, async () => {
      while (!isEnough()) {
        await talk(cancels)
        for (let i = 0; i < 10 && !isEnough(); i++) await connect(listener.address.port, cancels)
      }
    }),
  )
  await listener.close()
  await accepting
}

async function talk(cancels: Cancels): Promise<void> {
  await using pair = await Pair.open()
  const [written, read] = await Promise.all([
    writeRandomly(pair.client, cancels, WRITES),
    readRandomly(pair.server, cancels),
  ])
  assert.ok(read >= written, `${written} bytes were written, ${read} came`)
}

async function connect(port: number, cancels: Cancels): Promise<void> {
  const stream = await cancels.attempt((signal) =>
    TcpStream.connect({ host: '127.0.0.1', port, signal }),
  )
  if (stream === STOPPED) return
  const reading = stream.read().catch(() => null)
  if (cancels.prng.chance(0.5)) await stream.reset()
  else await stream.close()
  await reading
}

async function acceptAll(listener: TcpListener, cancels: Cancels): Promise<void> {
  const closings: Promise<void>[] = []
  while (!listener.isClosed) {
    try {
      const stream = await cancels.attempt((signal) => listener.accept({ signal }))
      if (stream !== STOPPED) closings.push(stream.close())
    } catch (error) {
      assert.equal((error as { code: string }).code, 'ERR_HANDLE_CLOSED')
    }
  }
  await Promise.all(closings)
}

/** Makes `net` keep all the memory that it ever keeps for reuse, so that what it leases can be counted. */
export function fillBounces({ executor, sendMemory }: NetRing): void {
  const user = { waits: executor.waits, useBuffer: ignore, urge: ignore, executorCloses: ignore }
  for (const bytes of [1, 5_000, 100_000]) {
    const buffers = Array.from({ length: 80 }, () => sendMemory.take(user, bytes)!)
    for (const buffer of buffers) sendMemory.give(buffer)
  }
}

function ignore(): void {}
