/**
 * http-client PORT CONNECTIONS WARMUP SECONDS: asks a server of `busy` on connections that stay open.
 *
 * Each sends its next request when it has the answer to the last. Prints how many answers came in a second,
 * and how long they took; written on sockets, since `node:http` would be slower than the server.
 */

import { connect } from 'node:net'
import { Period, RESPONSE_END, RoundTrips, summarizeWaits } from '../busy-load.ts'

const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'

const [port = 0, connectionCount = 0, warmupSeconds = 0, seconds = 0] = process.argv
  .slice(2)
  .map(Number)
const period = new Period(warmupSeconds, seconds)
const tripsMs: number[] = []
const connections = Array.from({ length: connectionCount }, () => new RoundTrips(period, tripsMs))

period.begin()
connections.forEach(ask)
setTimeout(finish, (warmupSeconds + seconds) * 1_000)

function ask(trips: RoundTrips): void {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let text = ''
  const send = (): void => {
    text = ''
    trips.send()
    socket.write(REQUEST)
  }
  socket.setEncoding('latin1').on('connect', send)
  socket.on('data', (part: string) => {
    text += part
    if (!text.endsWith(RESPONSE_END)) return
    trips.receive()
    send()
  })
  // Fewer connections would be less load, which no figure would show.
  socket.on('close', () => {
    throw new Error('The server has closed a connection')
  })
}

function finish(): void {
  const answersPerSecond = tripsMs.length / seconds
  for (const trips of connections) trips.finish()
  const result = { answersPerSecond, ...summarizeWaits(tripsMs) }
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0))
}
