/** A thread that takes connections by their tickets: what it does with each, the message says. */
import { parentPort } from 'node:worker_threads'
import { TcpListener, TcpStream, type TcpStreamTicket } from '../../src/net/index.ts'

/** What the thread is told to do. */
export type Order =
  /** Echoes some bytes, and gives the connection back; a stream that has ended is closed, and `null` posted. */
  | { readonly kind: 'echo'; readonly ticket: TcpStreamTicket; readonly lengthBytes: number }
  /** Adopts it, and holds it. */
  | { readonly kind: 'hold'; readonly ticket: TcpStreamTicket }
  /** Adopts it though it may be spent: `'adopted'` or the code of the error. */
  | { readonly kind: 'try'; readonly ticket: TcpStreamTicket }
  /** Connects, and posts a ticket of that connection. */
  | { readonly kind: 'connect'; readonly port: number; readonly outlivesThread: boolean }
  /** Gives connections away as fast as it can, until it is terminated. */
  | { readonly kind: 'churn' }

const port = parentPort!
const held: TcpStream[] = []

async function echo(ticket: TcpStreamTicket, lengthBytes: number): Promise<void> {
  const stream = TcpStream.adopt(ticket)
  const memory = new Uint8Array(lengthBytes)
  const count = await stream.readInto(memory)
  if (count === 0) {
    await stream.close()
    port.postMessage(null)
    return
  }
  // Not awaited: it is the hand-over that waits for it.
  stream.write(memory.subarray(0, count)).catch(() => {})
  port.postMessage(await stream.detach())
}

async function churn(): Promise<never> {
  const listener = await TcpListener.bind({ port: 0 })
  for (let round = 0; ; round++) {
    const accepting = listener.accept()
    const client = await TcpStream.connect({ port: listener.address.port })
    const server = await accepting
    void client.write(new Uint8Array(1000))
    const ticket = await client.detach()
    if (round === 3) port.postMessage('churning')
    // Some are adopted, some are forgotten.
    if (round % 3 === 0) await TcpStream.adopt(ticket).close()
    await server.close()
  }
}

async function obey(order: Order): Promise<void> {
  switch (order.kind) {
    case 'echo':
      return await echo(order.ticket, order.lengthBytes)
    case 'hold':
      held.push(TcpStream.adopt(order.ticket))
      port.postMessage('held')
      return
    case 'try':
      try {
        held.push(TcpStream.adopt(order.ticket))
        port.postMessage('adopted')
      } catch (error) {
        port.postMessage((error as { code: string }).code)
      }
      return
    case 'connect': {
      const { outlivesThread } = order
      const stream = await TcpStream.connect({ port: order.port })
      port.postMessage(await stream.detach({ outlivesThread }))
      return
    }
    case 'churn':
      return await churn()
  }
}

port.on('message', (order: Order) => void obey(order))
