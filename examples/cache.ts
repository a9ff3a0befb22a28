/** A cache on all cores: keys are spread over shards, and any connection asks for any key. Its parts are in `cache/`. */

import { TcpStream } from 'percore/net'
import { CacheServer } from './cache/server.ts'

const server = await CacheServer.start()
const clients = await Promise.all(Array.from({ length: 8 }, connect))
const answers = await Promise.all(clients.map(ask))
console.log(answers[0])
await Promise.all(clients.map((client) => client.close()))
console.log(`connections by shard: ${(await server.stop()).join(', ')}`)

function connect(): Promise<TcpStream> {
  const { host, port } = server.address
  return TcpStream.connect({ host, port })
}

/** Sends requests without waiting, and reads until the last is answered. */
async function ask(client: TcpStream, index: number): Promise<string> {
  const name = `client:${index}`
  await client.write(
    Buffer.from(`SET ${name} 5\nhello\nGET ${name}\nDEL ${name}\nGET ${name}\nSTATS\n`),
  )
  let text = ''
  while (!/^STATS .*\n/m.test(text)) {
    const chunk = await client.read()
    if (chunk === null) throw new Error(`the server has left after '${text}'`)
    text += Buffer.from(chunk).toString()
  }
  return text
}
