/** A TCP echo server that a client drives, and that ends when the client is done. */

import { TcpListener, TcpStream } from 'percore/net'

const listener = await TcpListener.bind({ host: '127.0.0.1', port: 0 })
const serving = acceptAll()

await using client = await TcpStream.connect({ host: '127.0.0.1', port: listener.address.port })
for (const word of ['one', 'two', 'three']) {
  await client.write(Buffer.from(word))
  const chunk = await client.read()
  console.log(chunk === null ? 'closed' : Buffer.from(chunk).toString())
}
await listener.close()
await serving

async function acceptAll(): Promise<void> {
  for await (const stream of listener) void serve(stream)
}

async function serve(stream: TcpStream): Promise<void> {
  await using owned = stream
  for await (const chunk of owned) await owned.write(chunk)
}
