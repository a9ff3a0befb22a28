/** redis: the Redis example on this thread. Prints its port and process; ends when its input closes. */

import { writeSync } from 'node:fs'
import { RedisServer } from '../../examples/redis/server.ts'
import { endWithStdin } from '../peers/node-server.ts'

const server = await RedisServer.startSingle()
writeSync(1, `${server.address.port} ${process.pid}\n`)
endWithStdin()
