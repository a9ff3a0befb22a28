/** The log of examples/: over real sockets with Node's own as clients, and killed for real. */

import assert from 'node:assert/strict'
import { spawn as startProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Log, type LogOptions } from '../../examples/log/log.ts'
import { LogServer } from '../../examples/log/server.ts'
import { assertNoLeak, holdings, makeFolder } from '../io/support.ts'
import { clientCount, limited, repetitionCount } from '../limits.ts'
import { LogClient } from './log-client.ts'

const LIMIT = limited(60_000)
const SMALL = { segmentBytes: 1 << 16, batchBytes: 1 << 14 }

function optionsIn(t: TestContext): LogOptions {
  return { folder: makeFolder(t), ...SMALL }
}

/** All records from the beginning, by their offsets. */
async function readAll(log: Log): Promise<Map<number, string>> {
  const found = new Map<number, string>()
  let offset = 0
  for (;;) {
    const record = await log.read(offset)
    if (record === null) return found
    found.set(offset, Buffer.from(record.data).toString())
    offset = record.nextOffset
  }
}

test(
  'append() gives offsets that read() takes, also after the log was opened again',
  LIMIT,
  async (t) => {
    const options = optionsIn(t)
    const before = holdings()
    const appended = new Map<number, string>()
    {
      await using log = await Log.open(options)
      assert.equal(await log.read(0), null)
      for (let index = 0; index < 50; index++) {
        const text = `record ${index} ${'x'.repeat((index * 331) % 6000)}`
        appended.set(await log.append(Buffer.from(text)), text)
        assert.equal(log.endOffset > 0, true)
      }
      assert.deepEqual(await readAll(log), appended)
    }
    for (let round = 0; round < 3; round++) {
      await using log = await Log.open(options)
      assert.deepEqual(await readAll(log), appended)
      const text = `round ${round}`
      appended.set(await log.append(Buffer.from(text)), text)
    }
    assert.ok(readdirSync(options.folder).length > 2, 'it has taken several segments')

    assertNoLeak(before)
  },
)

test('many appends at once share commits, and keep their order', LIMIT, async (t) => {
  await using log = await Log.open(optionsIn(t))
  const texts = Array.from({ length: 500 }, (_, index) => `${index}:${'y'.repeat(index % 900)}`)

  const offsets = await Promise.all(texts.map((text) => log.append(Buffer.from(text))))

  assert.deepEqual(
    offsets,
    [...offsets].sort((a, b) => a - b),
  )
  assert.deepEqual([...(await readAll(log)).values()], texts)
  assert.ok(log.commitCount < 60, `${log.commitCount} commits`)
})

test(
  'records of no bytes, or too many, are refused, as are offsets where none begins',
  LIMIT,
  async (t) => {
    const options = optionsIn(t)
    const log = await Log.open(options)
    await log.append(Buffer.from('one'))

    await assert.rejects(log.append(new Uint8Array(0)), RangeError)
    await assert.rejects(log.append(new Uint8Array(SMALL.batchBytes)), RangeError)
    for (const offset of [1, 16, -1, 0.5, 1e9, Number.NaN]) {
      await assert.rejects(log.read(offset), RangeError)
    }
    await log.append(new Uint8Array(SMALL.batchBytes / 2))
    await log.close()

    await assert.rejects(log.append(Buffer.from('late')), /closed/)
    await assert.rejects(Log.open({ ...options, segmentBytes: 4096 }), RangeError)
  },
)

test(
  'a record that was damaged later is not given out, and a header not trusted',
  LIMIT,
  async (t) => {
    const options = optionsIn(t)
    {
      await using log = await Log.open(options)
      for (let index = 0; index < 100; index++)
        await log.append(Buffer.alloc(1500, 65 + (index % 26)))
    }
    const [first] = readdirSync(options.folder).sort()
    const path = join(options.folder, first!)
    const bytes = readFileSync(path)
    bytes[16 + 500]! ^= 1
    writeFileSync(path, bytes)
    {
      await using log = await Log.open(options)
      await assert.rejects(log.read(0), RangeError)
      assert.equal((await log.read(1516))!.data.length, 1500)
    }
    bytes[9]! ^= 1
    writeFileSync(path, bytes)
    await assert.rejects(Log.open(options), /Cannot trust/)
    bytes.fill(0, 0, 512)
    writeFileSync(path, bytes)

    await assert.rejects(Log.open(options), /Cannot trust/)
  },
)

test('clients append and read over TCP', LIMIT, async (t) => {
  await using server = await LogServer.start(optionsIn(t))
  const clients = await Promise.all(
    Array.from({ length: clientCount(10, 3) }, () => LogClient.connect(server.address.port)),
  )

  const found = await Promise.all(
    clients.map(async (client, number) => {
      const texts = Array.from({ length: 40 }, (_, index) => `${number}:${index}`)
      const offsets = await Promise.all(texts.map((text) => client.append(Buffer.from(text))))
      const records = await Promise.all(offsets.map((offset) => client.read(offset)))
      return [texts, records.map((record) => record!.data.toString())]
    }),
  )

  for (const [texts, read] of found) assert.deepEqual(read, texts)
  assert.equal((await readAll(server.log)).size, clients.length * 40)
  assert.equal(await clients[0]!.read(server.log.endOffset), null)
  await assert.rejects(clients[0]!.read(1), /no whole record/)
  await assert.rejects(clients[0]!.append(new Uint8Array(60_000)), /must have/)
  for (const client of clients) client.close()
})

test('what is no request ends its own connection only', LIMIT, async (t) => {
  await using server = await LogServer.start(optionsIn(t))
  const [bad, good] = await Promise.all([
    LogClient.connect(server.address.port),
    LogClient.connect(server.address.port),
  ])

  assert.equal((await good.ask(77, Buffer.from('?'))).kind, 4)
  await bad.sendRaw(Buffer.alloc(16, 255))

  assert.equal(await good.append(Buffer.from('still here')), 0)
  good.close()
})

/** A log that a process serves, to be killed. */
async function startServer(folder: string): Promise<{ port: number; kill: () => Promise<void> }> {
  const script = fileURLToPath(new URL('./log-process.js', import.meta.url))
  const child = startProcess(process.execPath, [script, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return {
    port: Number(line.toString()),
    kill: async () => {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
  }
}

test('kill -9 loses nothing that was acknowledged', limited(120_000), async (t) => {
  const folder = makeFolder(t)
  const acknowledged = new Map<number, string>()
  const sent = new Set<string>()

  for (let round = 0; round < repetitionCount(6, 2); round++) {
    const server = await startServer(folder)
    const clients = await Promise.all(
      Array.from({ length: 8 }, () => LogClient.connect(server.port)),
    )
    let count = 0
    const writers = clients.map(async (client, number) => {
      for (let index = 0; ; index++) {
        const text = `${round}:${number}:${index}:${'z'.repeat((index * 97) % 3000)}`
        sent.add(text)
        acknowledged.set(await client.append(Buffer.from(text)), text)
        // In the midst of what the others are doing.
        if (++count === 200 + round * 37) void server.kill()
      }
    })
    const ends = await Promise.allSettled(writers)
    assert.ok(ends.every(({ status }) => status === 'rejected'))
    for (const client of clients) client.close()

    await using log = await Log.open({ folder, segmentBytes: 1 << 18, batchBytes: 1 << 16 })
    const found = await readAll(log)
    for (const [offset, text] of acknowledged) assert.equal(found.get(offset), text)
    for (const text of found.values())
      assert.ok(sent.has(text), 'nothing is there that nobody sent')
    // What is there now stays, acknowledged or not.
    for (const [offset, text] of found) acknowledged.set(offset, text)
  }
  assert.ok(readdirSync(folder).length > 1)
})
