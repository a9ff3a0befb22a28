/** What drivers do with connections in tests. */
import type { TcpStream, UdpSocket } from '../../src/net/index.ts'
import type { ServedPort } from '../../src/runtime/index.ts'
import { sleep } from '../../src/time/index.ts'

const encoder = new TextEncoder()

/** Says who it is, then sends back what comes. */
export default async function echo(stream: TcpStream, port: ServedPort): Promise<void> {
  await stream.write(encoder.encode(`${port.driver}\n`))
  for await (const chunk of stream) await stream.write(chunk)
}

/** Says who it is, and ends as its port is closed. */
export async function polite(stream: TcpStream, port: ServedPort): Promise<void> {
  await stream.write(encoder.encode(`${port.driver}\n`))
  const { signal } = port
  // What it is told may come before the write is known to have ended.
  if (!signal.aborted) {
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
  }
  await stream.write(encoder.encode('bye\n'))
}

/** Lets the reason of its port's signal through. */
export async function waitBySignal(stream: TcpStream, { signal }: ServedPort): Promise<void> {
  await stream.write(encoder.encode('here\n'))
  await sleep(1e9, { signal })
}

/** Waits for what is not percore's, and never comes. */
export async function stubborn(stream: TcpStream): Promise<void> {
  await stream.write(encoder.encode('here\n'))
  await new Promise(() => {})
}

/** Throws for the first byte that comes. */
export async function fail(stream: TcpStream): Promise<void> {
  await stream.read()
  throw Object.assign(new RangeError('not today'), { code: 'ERR_MINE' })
}

/** Holds its thread up, until the first word says otherwise. */
export async function block(
  stream: TcpStream,
  { argument }: ServedPort<Int32Array>,
): Promise<void> {
  await stream.write(encoder.encode('here\n'))
  await stream.read()
  Atomics.store(argument, 1, 1)
  while (Atomics.load(argument, 0) === 0);
}

export const notAFunction = 3

/** Says who it is to whoever sends something. */
export async function answer(socket: UdpSocket, port: ServedPort): Promise<void> {
  const { signal } = port
  try {
    for (;;) {
      const { from } = await socket.receive({ signal })
      await socket.send(encoder.encode(port.driver), { to: from })
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

/** Fails at its first datagram. */
export async function failOnce(socket: UdpSocket): Promise<void> {
  await socket.receive()
  throw Object.assign(new RangeError('not today'), { code: 'ERR_MINE' })
}

/** Comes to no end, whatever it is told. */
export async function deaf(socket: UdpSocket, port: ServedPort): Promise<void> {
  try {
    await listening(socket, port)
  } finally {
    await new Promise(() => {})
  }
}

/** Knows of no signal. */
export async function listening(socket: UdpSocket, port: ServedPort): Promise<void> {
  for (;;) {
    const { from } = await socket.receive()
    await socket.send(encoder.encode(port.driver), { to: from })
  }
}

/** Is done after its first datagram. */
export async function returnOnce(socket: UdpSocket): Promise<void> {
  await socket.receive()
}

/** Throws for an empty datagram. */
export async function strict(socket: UdpSocket, port: ServedPort): Promise<void> {
  for await (const { data, from } of socket) {
    if (data.length === 0)
      throw Object.assign(new RangeError('nothing in it'), { code: 'ERR_MINE' })
    await socket.send(encoder.encode(port.driver), { to: from })
  }
}

/** Loses its socket as it throws for an empty datagram. */
export async function closing(socket: UdpSocket, port: ServedPort): Promise<void> {
  await using _ = socket
  await strict(socket, port)
}

/** Leaves a read behind as it throws for its first datagram. */
export async function leaving(socket: UdpSocket, port: ServedPort): Promise<void> {
  const { from } = await socket.receive()
  await socket.send(encoder.encode(port.driver), { to: from })
  void socket.receive().catch(() => {})
  throw Object.assign(new RangeError('not today'), { code: 'ERR_MINE' })
}

/** Returns, and goes on by a consumer, whose end is at an empty datagram. */
export function consumed(socket: UdpSocket, port: ServedPort): void {
  socket.consume({
    onDatagram: ({ data, from }) => {
      if (data.length === 0) throw new RangeError('nothing in it')
      return socket.send(encoder.encode(port.driver), { to: from })
    },
    onEnd: () => {},
  })
}

/** Throws at once the first three times that it is called. */
export async function mostlyFails(socket: UdpSocket, port: ServedPort<Int32Array>): Promise<void> {
  if (Atomics.add(port.argument, 0, 1) < 3) throw new RangeError('not yet')
  await answer(socket, port)
}
