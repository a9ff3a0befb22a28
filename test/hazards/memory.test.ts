/** Memory at the end of threads and programs, and where locked memory is short. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { limited } from '../limits.ts'
import { runChild, success } from './child.ts'

const LIMIT = limited(60_000)

/** Terminates a thread that holds memory; whether that is still there. */
async function terminateHolder(isOutlived: boolean): Promise<boolean> {
  const url = new URL('./memory-worker.js', import.meta.url)
  const worker = new Worker(url, { workerData: { isOutlived } })
  const [address] = (await once(worker, 'message')) as [number]
  assert.ok(isMapped(address))
  await worker.terminate()
  return isMapped(address)
}

function isMapped(address: number): boolean {
  const lines = readFileSync('/proc/self/maps', 'utf8').split('\n')
  return lines.some((line) => {
    const [from, to] = line.split(/[- ]/, 2).map((text) => Number.parseInt(text, 16))
    return address >= from! && address < to!
  })
}

test('terminate() gives the memory of a thread back', LIMIT, async () => {
  assert.equal(await terminateHolder(false), false)
})

test('terminate() leaves memory that a request may still write', LIMIT, async () => {
  assert.equal(await terminateHolder(true), true)
})

/** How many mappings there are of so many bytes or more. */
function countMappings(lengthBytes: number): number {
  const lines = readFileSync('/proc/self/maps', 'utf8').split('\n')
  return lines.filter((line) => {
    const [from, to] = line.split(/[- ]/, 2).map((text) => Number.parseInt(text, 16))
    return to! - from! >= lengthBytes
  }).length
}

test('terminate() at the first look at a block gives the memory back', LIMIT, async () => {
  const url = new URL('./looking-worker.js', import.meta.url)
  // More than anything else maps.
  const lengthBytes = 2 ** 30
  const before = countMappings(lengthBytes)

  for (let count = 0; count < 5; count++) {
    const worker = new Worker(url, { workerData: { lengthBytes } })
    await once(worker, 'message')
    await worker.terminate()
  }

  assert.equal(countMappings(lengthBytes), before)
})

const HOLD = `
  const leases = []
  for (let count = 0; count < 5000; count++) {
    const lease = percore.allocateBuffer(100 + count % 5000)
    lease.bytes.fill(1)
    leases.push(lease)
  }
  const stolen = []
  for (const lease of leases.slice(0, 100)) {
    const stream = new ReadableStream({ type: 'bytes', start: (c) => c.enqueue(lease.bytes) })
    stolen.push((await stream.getReader().read()).value)
  }
  console.log(leases.length, stolen.every((bytes) => bytes.length > 0 && bytes[0] === 1))
`

test('a program ends with much memory held, looked at and taken away', async () => {
  assert.deepEqual(await runChild(HOLD), success('5000 true\n'))
})

test('process.exit() with much memory held ends the program', async () => {
  assert.deepEqual(await runChild(`${HOLD} process.exit(0)`), success('5000 true\n'))
})

test('closing the executor leaves what users hold readable', async () => {
  const program = `
    const lease = percore.allocateBuffer(4096)
    lease.bytes.fill(3)
    percore.executor().close()
    console.log(lease.bytes.every((byte) => byte === 3))
    lease.release()
  `

  assert.deepEqual(await runChild(program), success('true\n'))
})

const IO = JSON.stringify(new URL('../../src/io/index.js', import.meta.url).href)

/** The beginning of a program: `file` is open, of so many bytes that take no room on the disk. */
function openSparse(t: TestContext, lengthBytes: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'percore-memory-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'file')
  writeFileSync(path, '')
  truncateSync(path, lengthBytes)
  return `
    const { BufferedFile } = await import(${IO})
    const file = await BufferedFile.open(${JSON.stringify(path)})
  `
}

test('a read of more than the process may have throws ERR_OUT_OF_MEMORY', async (t) => {
  const lengthBytes = 2 ** 31 - 1
  const start = openSparse(t, lengthBytes)
  const status =
    "await import('node:fs').then((fs) => fs.readFileSync('/proc/self/status', 'utf8'))"
  const usual = await runChild(`${start} console.log(${status})`)
  const usualKib = Number(/VmSize:\s*(\d+) kB/.exec(usual.output)![1])
  const program = `
    ${start}
    const codes = await file.read(0, ${lengthBytes}).then(() => 'read', ({ code, cause }) => [code, cause.name])
    console.log(codes, (await file.read(0, 2 ** 20)).length)
  `

  // Room for all but that.
  const limit = `ulimit -v ${usualKib + 2 ** 20}; exec "$@"`
  const { output } = await runChild(program, { launcher: ['sh', '-c', limit, 'sh'] })

  assert.match(output, /^\[ 'ERR_OUT_OF_MEMORY', '\w+' \] 1048576\n$/)
})

test('what large reads brought is given back once nobody looks at it', LIMIT, async (t) => {
  const lengthBytes = 64 * 2 ** 20
  const program = `
    ${openSparse(t, lengthBytes)}
    let sumBytes = 0
    for (let count = 0; count < 8; count++) sumBytes += (await file.read(0, ${lengthBytes})).length
    // Of each by itself, and in another thread perhaps.
    do {
      globalThis.gc()
      await new Promise((resolve) => setImmediate(resolve))
    } while (process.memoryUsage().arrayBuffers > ${lengthBytes})
    console.log(sumBytes)
  `

  const result = await runChild(program, { flags: ['--expose-gc'] })

  assert.deepEqual(result, success(`${8 * lengthBytes}\n`))
})

test('PERCORE_DEBUG=1 empties views of released memory, and says who holds the rest', async () => {
  const program = `
    const { memory } = percore.attachExecutor({ ioMemoryBytes: 65536, ioMemoryBytesMax: 65536 })
    const lease = percore.allocateBuffer(4096)
    const { bytes } = lease
    lease.release()
    const hoard = function hoard() { return percore.allocateBuffer(65536) }
    const held = hoard()
    try { percore.allocateBuffer(1) } catch (error) {
      console.log(bytes.length, error.code, /1 lease, 65536 bytes[^]*hoard/.test(error.message))
    }
  `
  const env = { PERCORE_DEBUG: '1' }

  const result = await runChild(program, { env })

  assert.deepEqual(result, success('0 ERR_OUT_OF_MEMORY true\n'))
})

// Locked memory is counted by user: one of our own, whoever else runs these tests.
const userId = 20_000 + ((process.pid + 10_000) % 40_000)
const asNobody = ['setpriv', `--reuid=${userId}`, `--regid=${userId}`, '--clear-groups', '--']
const canBeNobody = {
  skip:
    process.getuid?.() === 0 && spawnSync(asNobody[0]!, [...asNobody.slice(1), 'true']).status === 0
      ? false
      : 'needs root and setpriv',
}

/** Registers I/O memory, then serves a client on each ring, with so much lockable memory. */
function serveWithin(limitKib: number): Promise<{ readonly output: string }> {
  const program = `
    const net = await import(${JSON.stringify(new URL('../../src/net/index.js', import.meta.url).href)})
    const serve = async () => {
      const listener = await net.TcpListener.bind({ host: '127.0.0.1', port: 0 })
      const accepting = listener.accept()
      const client = await net.TcpStream.connect({ host: '127.0.0.1', port: listener.address.port })
      const server = await accepting
      await client.write(new Uint8Array(5))
      const { length } = await server.read()
      await Promise.all([client.close(), server.close(), listener.close()])
      return length
    }
    // Node may have a ring of its own, and leave too little for this one.
    try {
      const executor = percore.attachExecutor({ ringDepth: 8 })
      executor.io.registerMemory()
      const urgent = percore.createTaskQueue('urgent', { latency: { maxMs: 5 } })
      const lengths = [await serve(), await percore.spawnInto(urgent, serve)]
      const { registeredBytes, isRegistered } = executor.stats().ioMemory
      console.log(JSON.stringify({ lengths, registeredBytes, isRegistered }))
    } catch (error) { console.log(JSON.stringify({ code: error.code, message: error.message })) }
  `
  const launcher = ['sh', '-c', `ulimit -l ${limitKib}; exec "$@"`, 'sh', ...asNobody]
  return runChild(program, { launcher })
}

test(
  'with 8 MiB of lockable memory a part is registered, and sockets work',
  canBeNobody,
  async () => {
    const { output } = await serveWithin(8192)

    const { lengths, registeredBytes, isRegistered } = JSON.parse(output)
    assert.deepEqual([lengths, isRegistered], [[5, 5], false])
    // Powers of two, with room left for what sockets need to lock.
    assert.ok(registeredBytes >= 4 * 2 ** 20 && registeredBytes < 8 * 2 ** 20, output)
  },
)

test('with 256 KiB of lockable memory sockets work', canBeNobody, async () => {
  const { output } = await serveWithin(256)

  assert.deepEqual(JSON.parse(output).lengths, [5, 5])
})

test(
  'with 64 KiB of lockable memory sockets work, or say what to change',
  canBeNobody,
  async () => {
    const { output } = await serveWithin(64)

    const { code, message, lengths } = JSON.parse(output)
    if (code === undefined) assert.deepEqual(lengths, [5, 5])
    else assert.match(`${code} ${message}`, /^ERR_MEMLOCK_LIMIT .*ulimit -l unlimited/)
  },
)
