/**
 * redis-server PROGRAM: a redis-server that keeps nothing on a disk. Prints its port and process; it ends when the input of
 * this one closes.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { endWithStdin } from './node-server.ts'

const [program = 'redis-server'] = process.argv.slice(2)
const port = await unusedPort()
const options = { port, bind: '127.0.0.1', save: '', appendonly: 'no' }
const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
const server = spawn(program, args)
let output = ''
server.on('close', (code) => {
  process.stderr.write(`redis-server has ended with ${code}: ${output}\n`)
  process.exit(1)
})
await new Promise<void>((resolve) => {
  server.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    if (output.includes('Ready to accept connections')) resolve()
  })
})
writeSync(1, `${port} ${server.pid}\n`)
endWithStdin(() => {
  server.removeAllListeners('close').kill('SIGKILL')
  return ''
})

async function unusedPort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port: found } = listener.address() as AddressInfo
  listener.close()
  await once(listener, 'close')
  return found
}
