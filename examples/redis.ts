/** A cache that speaks the Redis protocol, on all cores, and a client that pipelines. Its parts are in `redis/`; `redis/main.ts` serves. */

import { TcpStream } from 'percore/net'
import { RedisServer } from './redis/server.ts'

await using server = await RedisServer.start()
const { host, port } = server.address
await using client = await TcpStream.connect({ host, port })
await client.write(
  Buffer.from('SET greeting hello EX 60\r\nINCR visits\r\nMGET greeting visits none\r\nQUIT\r\n'),
)
for await (const chunk of client) process.stdout.write(chunk)
