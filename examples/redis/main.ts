/** main [--port 6379] [--host 127.0.0.1] [--shards N | --single] [--maxmemory BYTES]: serves until SIGINT or SIGTERM. */

import { parseArgs } from 'node:util'
import { RedisServer } from './server.ts'

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '6379' },
    host: { type: 'string', default: '127.0.0.1' },
    shards: { type: 'string' },
    single: { type: 'boolean', default: false },
    maxmemory: { type: 'string' },
  },
})
const options = {
  host: values.host,
  port: Number(values.port),
  ...(values.maxmemory !== undefined && { bytesMax: Number(values.maxmemory) }),
}
const server = values.single
  ? await RedisServer.startSingle(options)
  : await RedisServer.start({
      ...options,
      ...(values.shards !== undefined && { shards: Number(values.shards) }),
    })
console.log(`listening on ${server.address.host}, port ${server.address.port}`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void server.stop())
