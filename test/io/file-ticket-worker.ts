/** A thread that takes files by their tickets, and gives files away: what it does, the message says. */
import { parentPort } from 'node:worker_threads'
import { BufferedFile, type FileTicket } from '../../src/io/index.ts'

export type FileOrder =
  /** Writes, and gives the file back. */
  | {
      readonly kind: 'write'
      readonly ticket: FileTicket
      readonly text: string
      readonly at: number
    }
  /** Reads all, and closes the file. */
  | { readonly kind: 'read'; readonly ticket: FileTicket }
  /** Opens a file, and gives it away. */
  | { readonly kind: 'open'; readonly path: string; readonly outlivesThread: boolean }
  /** Gives files away as fast as it can, until it is terminated. */
  | { readonly kind: 'churn'; readonly path: string }

const port = parentPort!

/** On their way at a time, so that a thread that is terminated late has not used up the descriptors of its process. */
const FORGOTTEN_MAX = 64

async function churn(path: string): Promise<never> {
  const forgotten: FileTicket[] = []
  for (let round = 0; ; round++) {
    const file = await BufferedFile.open(path)
    const copy = file.duplicate()
    const ticket = await file.detach()
    if (round === 3) port.postMessage('churning')
    // Some are adopted, some are forgotten.
    if (round % 3 === 0) await (await BufferedFile.adopt(ticket)).close()
    else forgotten.push(ticket)
    if (round % 2 === 0) BufferedFile.discard(copy)
    else forgotten.push(copy)
    while (forgotten.length > FORGOTTEN_MAX) BufferedFile.discard(forgotten.shift()!)
  }
}

async function obey(order: FileOrder): Promise<void> {
  switch (order.kind) {
    case 'write': {
      const file = await BufferedFile.adopt(order.ticket)
      // Not awaited: it is the hand-over that waits for it.
      void file.write(Buffer.from(order.text), order.at)
      port.postMessage(await file.detach())
      return
    }
    case 'read': {
      await using file = await BufferedFile.adopt(order.ticket)
      port.postMessage(Buffer.from(await file.read(0, 1000)).toString())
      return
    }
    case 'open': {
      const { outlivesThread } = order
      const file = await BufferedFile.open(order.path)
      port.postMessage(await file.detach({ outlivesThread }))
      return
    }
    case 'churn':
      return await churn(order.path)
  }
}

port.on('message', (order: FileOrder) => void obey(order))
