/** log FOLDER SEGMENT_BYTES: the log of examples/ in a folder. Prints its port; ends when its input closes. */

import { writeSync } from 'node:fs'
import { LogServer } from '../../examples/log/server.ts'

const [folder = '', segmentBytes = ''] = process.argv.slice(2)
const server = await LogServer.start({ folder, segmentBytes: Number(segmentBytes) })
writeSync(1, `${server.address.port}\n`)
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
