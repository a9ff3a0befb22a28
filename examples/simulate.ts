/** One program under ten seeds: short writes, delays and reordered completions, in virtual time. */

import { DirectFile } from 'percore/io'
import { simulate } from 'percore/testing'
import { sleep } from 'percore/time'

const DAY_MS = 86_400_000

for (let seed = 0; seed < 10; seed++) {
  const faults = { shortWrite: 0.3, shortRead: 0.3, delay: 0.2, reorder: 0.2 }
  await simulate({ seed, faults }, async ({ executor }) => {
    const startNs = executor.nowNs()
    await using file = await DirectFile.create('data', { read: true })
    await file.writeBytes(Buffer.from('percore'), 1000)
    using result = await file.read(1000, 7)
    if (Buffer.from(result.bytes).toString() !== 'percore') throw new Error('bytes are lost')
    await sleep(DAY_MS)
    if (executor.nowNs() - startNs < DAY_MS * 1e6) throw new Error('a day is too short')
  })
}
console.log('ten seeds passed')
