/** Files that are given to other threads, and descriptors of their own that others get of them. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { fstatSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { executor, spawn } from '../../src/index.ts'
import { BufferedFile, DirectFile, type FileTicket } from '../../src/io/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { createPipe } from '../hazards/pipe.ts'
import { limited, seedCount } from '../limits.ts'
import type { FileOrder } from './file-ticket-worker.ts'
import { assertNoLeak, holdings, makeFolder, pattern } from './support.ts'

const LIMIT = limited(30_000)
const SEEDS = seedCount(50)
const FALLBACK = { fallback: 'buffered' } as const

/** As `postMessage()` does it. */
function posted(ticket: FileTicket): FileTicket {
  return structuredClone(ticket)
}

function startWorker(): Worker {
  return new Worker(new URL('./file-ticket-worker.js', import.meta.url))
}

async function tell(worker: Worker, order: FileOrder): Promise<unknown> {
  worker.postMessage(order)
  const [answer] = await once(worker, 'message')
  return answer
}

test(
  'detach() lets operations end, refuses more, and the file goes on where it is adopted',
  LIMIT,
  async (t) => {
    const path = join(makeFolder(t), 'file')
    const before = holdings()
    const file = await DirectFile.create(path, FALLBACK)
    const { fd, identity } = file
    const writes = [0, 1, 2].map((at) => file.writeBytes(pattern(5000, at), 5000 * at))

    const detaching = file.detach()
    await assert.rejects(file.read(0, 1), { code: 'ERR_HANDLE_CLOSED' })
    await assert.rejects(file.detach(), { code: 'ERR_HANDLE_CLOSED' })
    const ticket = posted(await detaching)

    assert.deepEqual(await Promise.all(writes), [5000, 5000, 5000])
    assert.deepEqual([file.isClosed, file.fd], [true, -1])
    const adopted = await DirectFile.adopt(ticket)
    assert.deepEqual([adopted.fd, adopted.path, adopted.identity], [fd, path, identity])
    assert.equal(adopted.isDirect, file.isDirect)
    using part = await adopted.read(4999, 2)
    assert.deepEqual([...part.bytes], [pattern(5000, 0)[4999], pattern(5000, 1)[0]])
    part.release()
    await adopted.close()
    await file.close()
    assertNoLeak(before)
  },
)

test('a ticket is good once, and discard() closes its file', LIMIT, async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, 'x')
  const before = holdings()
  const first = await (await BufferedFile.open(path)).detach()
  const second = await (await BufferedFile.open(path)).detach()

  assert.equal(BufferedFile.discard(first), true)

  assert.equal(BufferedFile.discard(first), false)
  await assert.rejects(BufferedFile.adopt(first), { code: 'ERR_TICKET_SPENT' })
  const adopted = await BufferedFile.adopt(second)
  await assert.rejects(BufferedFile.adopt(second), { code: 'ERR_TICKET_SPENT' })
  await adopted.close()
  assertNoLeak(before)
})

test('detach() that is given up leaves the file as it was', LIMIT, async () => {
  const pipe = createPipe()
  const file = await BufferedFile.open(`/proc/self/fd/${pipe.readFd}`)
  const reading = file.read(0, 10)
  const controller = new AbortController()
  const detaching = file.detach({ signal: controller.signal })
  const closing = detaching.catch(() => 'given up')

  controller.abort()

  await assert.rejects(detaching, { name: 'AbortError' })
  assert.equal(await closing, 'given up')
  assert.equal(file.isClosed, false)
  pipe.write()
  assert.equal(Buffer.from(await reading).toString(), 'x')
  const given = file.detach({ timeoutMs: 1 })
  await given.then(
    (ticket) => BufferedFile.discard(ticket),
    () => file.close(),
  )
  pipe.close()
})

test(
  'close() while a file is being detached waits for that, and closes it if it fails',
  LIMIT,
  async () => {
    const pipe = createPipe()
    const file = await BufferedFile.open(`/proc/self/fd/${pipe.readFd}`)
    const { fd } = file
    const controller = new AbortController()
    const reading = file.read(0, 10)
    const detaching = assert.rejects(file.detach({ signal: controller.signal }), {
      name: 'AbortError',
    })
    const closing = file.close()

    controller.abort()
    await detaching
    pipe.write()
    await reading
    await closing

    assert.throws(() => fstatSync(fd), { code: 'EBADF' })
    pipe.close()
  },
)

test('a task that is cancelled while it detaches keeps the file', LIMIT, async () => {
  const pipe = createPipe()
  const file = await BufferedFile.open(`/proc/self/fd/${pipe.readFd}`)
  const reading = file.read(0, 10)
  const task = spawn(() => file.detach())
  await spawn(() => {})

  await task.cancel()

  assert.equal(file.isClosed, false)
  pipe.write()
  await reading
  await file.close()
  pipe.close()
})

test('a ticket is still good where there was no memory to adopt it', LIMIT, async (t) => {
  const path = join(makeFolder(t), 'file')
  const before = holdings()
  const file = await DirectFile.create(path, FALLBACK)
  const ticket = await file.detach()
  const refusal = t.mock.method(executor().io, 'registerMemory', () => {
    throw Object.assign(new Error('refused'), { code: 'ERR_OUT_OF_MEMORY' })
  })

  await assert.rejects(DirectFile.adopt(ticket), { code: 'ERR_OUT_OF_MEMORY' })

  refusal.mock.restore()
  const adopted = await DirectFile.adopt(ticket)
  await adopted.close()
  assertNoLeak(before)
})

test('duplicate() makes a descriptor of its own, which outlives the other', LIMIT, async (t) => {
  const path = join(makeFolder(t), 'file')
  const before = holdings()
  const file = await BufferedFile.create(path)
  const copy = await BufferedFile.adopt(posted(file.duplicate()))
  assert.ok(copy.isSameFile(file))
  assert.notEqual(copy.fd, file.fd)

  await file.write(Buffer.from('one'), 0)
  await file.close()
  await copy.write(Buffer.from('two'), 3)

  assert.equal(readFileSync(path, 'utf8'), 'onetwo')
  await copy.close()
  assert.throws(() => file.duplicate(), { code: 'ERR_HANDLE_CLOSED' })
  assertNoLeak(before)
})

test('what is wrong with tickets and options is refused', LIMIT, async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await BufferedFile.create(path)
  const ticket = file.duplicate()

  await assert.rejects(DirectFile.adopt(ticket), TypeError)
  for (const wrong of [null, {}, { ...ticket, name: -1 }, { ...ticket, kind: 'TcpStream' }]) {
    await assert.rejects(BufferedFile.adopt(wrong as FileTicket))
    assert.throws(() => BufferedFile.discard(wrong as FileTicket))
  }
  assert.throws(() => file.duplicate({ outlives: true } as object), TypeError)
  await assert.rejects(file.detach({ outlivesThread: 1 } as object), TypeError)
  assert.equal(file.isClosed, false)
  assert.ok(BufferedFile.discard(ticket))
})

test(
  'a file goes to another thread and comes back, with what each has written',
  LIMIT,
  async (t) => {
    const path = join(makeFolder(t), 'file')
    const file = await BufferedFile.create(path)
    await file.write(Buffer.from('here '), 0)
    const worker = startWorker()

    const ticket = await tell(worker, {
      kind: 'write',
      ticket: await file.detach(),
      text: 'there',
      at: 5,
    })

    await using returned = await BufferedFile.adopt(ticket as FileTicket)
    assert.equal(Buffer.from(await returned.read(0, 100)).toString(), 'here there')
    await worker.terminate()
  },
)

test(
  'a file on its way is closed with the thread that gave it away, unless it outlives that',
  LIMIT,
  async (t) => {
    const path = join(makeFolder(t), 'file')
    writeFileSync(path, 'x')
    const gone = startWorker()
    const lost = await tell(gone, { kind: 'open', path, outlivesThread: false })
    const kept = await tell(gone, { kind: 'open', path, outlivesThread: true })

    await gone.terminate()

    await assert.rejects(BufferedFile.adopt(lost as FileTicket), { code: 'ERR_TICKET_SPENT' })
    await using adopted = await BufferedFile.adopt(kept as FileTicket)
    assert.equal(Buffer.from(await adopted.read(0, 10)).toString(), 'x')
  },
)

test(
  'threads that give files away and are terminated at any moment leave no descriptor',
  LIMIT,
  async (t) => {
    const path = join(makeFolder(t), 'file')
    writeFileSync(path, 'x')
    executor()
    const run = async (rounds: number): Promise<void> => {
      const worker = startWorker()
      await tell(worker, { kind: 'churn', path })
      for (let left = rounds; left > 0; left--) await new Promise(setImmediate)
      await worker.terminate()
    }
    await run(0)
    const before = holdings()

    for (let round = 0; round < 8; round++) await run(5 * round)

    assertNoLeak(before)
  },
)

test('simulated: files are detached, duplicated and adopted whatever the kernel does late', async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    await simulate(
      { seed, faults: { delay: 0.3, reorder: 0.5, shortRead: 0.2, shortWrite: 0.2 } },
      async () => {
        let file = await DirectFile.create('/file', FALLBACK)
        for (let round = 0; round < 5; round++) {
          const writing = file.writeBytes(pattern(4096, round), 4096 * round)
          const copy = await DirectFile.adopt(posted(file.duplicate()))
          const ticket = posted(await file.detach())
          await writing
          file = await DirectFile.adopt(ticket)
          using read = await copy.read(4096 * round, 4096)
          assert.deepEqual(read.bytes, pattern(4096, round))
          await copy.close()
        }
        await file.close()
      },
    )
  }
})
