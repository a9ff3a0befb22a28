/** A durable log over TCP: what it has acknowledged survives a crash. Its parts are in `log/`. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Log } from './log/log.ts'
import { LogServer } from './log/server.ts'

const folder = mkdtempSync(join(tmpdir(), 'percore-log-'))
{
  await using server = await LogServer.start({ folder, segmentBytes: 4 << 20 })
  const { log } = server
  // 32 writers, each of which waits for the disk before it goes on.
  await Promise.all(
    Array.from({ length: 32 }, async (_, writer) => {
      for (let index = 0; index < 20; index++) {
        await log.append(Buffer.from(`writer ${writer}, record ${index}`))
      }
    }),
  )
  console.log(`640 records in ${log.commitCount} commits, on port ${server.address.port}`)
}
{
  // Opened again it goes on where it ended.
  await using log = await Log.open({ folder, segmentBytes: 4 << 20 })
  let count = 0
  for (let at = 0, record = await log.read(at); record !== null; record = await log.read(at)) {
    at = record.nextOffset
    count++
  }
  console.log(`${count} records read, the log ends at ${log.endOffset}`)
}
rmSync(folder, { recursive: true })
