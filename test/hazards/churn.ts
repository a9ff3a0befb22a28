/** Work that gets descriptors, and gives them back, as fast as it can. */

import { join } from 'node:path'
import { threadId } from 'node:worker_threads'
import { executor, spawn, type Task } from '../../src/index.ts'
import { BufferedFile } from '../../src/io/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'

/** Loops at a time. */
const LOOPS = 32
const READ_BYTES = 4 * 2 ** 20

/** Creates and closes files until the executor is closed; the kernel takes its time over that. */
export function churnFiles(folder: string): void {
  for (let i = 0; i < LOOPS; i++) {
    repeat(async () => {
      const file = await BufferedFile.create(join(folder, String(i)))
      await file.close()
    })
  }
}

/** Reads a file of many pieces until the executor is closed. */
export async function churnReads(folder: string): Promise<void> {
  const file = await BufferedFile.create(join(folder, `large-${threadId}`))
  await file.write(new Uint8Array(READ_BYTES), 0)
  repeat(() => file.read(0, READ_BYTES))
}

/** Accepts connections until the executor is closed; resolves with the port. */
export async function churnAccepts(): Promise<number> {
  const listener = await TcpListener.bind({ host: '127.0.0.1', port: 0 })
  repeat(async () => {
    const stream = await listener.accept()
    void stream.reset()
  })
  return listener.address.port
}

/** Connects until the executor is closed, or nobody listens any more. */
export async function churnConnects(port: number): Promise<void> {
  const loops = Array.from({ length: LOOPS }, () =>
    repeat(async () => {
      const stream = await TcpStream.connect({ host: '127.0.0.1', port })
      await stream.reset()
    }),
  )
  await Promise.all(loops)
}

/** Both ends at once. */
export async function churnConnections(): Promise<void> {
  // Those that have not started when the executor closes never do.
  churnConnects(await churnAccepts()).catch(() => {})
}

function repeat(step: () => Promise<unknown>): Task<void> {
  const home = executor()
  return spawn(async () => {
    try {
      while (!home.isClosing) await step()
    } catch (error) {
      const isGone = (error as { syscall?: string }).syscall === 'connect'
      if (!home.isClosing && !isGone) throw error
    }
  })
}
