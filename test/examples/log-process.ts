/** log-process FOLDER: serves the log of examples/ and prints its port, until it is killed. */

import { writeSync } from 'node:fs'
import { LogServer } from '../../examples/log/server.ts'

const folder = process.argv[2] ?? ''
const server = await LogServer.start({ folder, segmentBytes: 1 << 18, batchBytes: 1 << 16 })
writeSync(1, `${server.address.port}\n`)
