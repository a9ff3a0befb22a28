/**
 * Memory of leases that a thread has detached and sent to another one, and what is left of it when its
 * own thread ends.
 *
 * Proof that these can fail: without the sentinels of native/share.c the process dies of SIGSEGV.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clientCount, limited } from '../limits.ts'
import { type ChildOptions, runChild, success } from './child.ts'
import type { Taking } from './taken-worker.ts'

const LIMIT = limited(60_000)
const BLOCK_BYTES = 16 * 1024

const takes = ['stream', ...('transfer' in ArrayBuffer.prototype ? ['transfer'] : [])] as const
const leases: readonly Taking['lease'][] = ['released before', 'released after', 'held']
const ends: readonly Taking['end'][] = [
  'nothing left to do',
  'process.exit()',
  'close()',
  'terminate()',
]

/** What is at hand in a child: threads that take memory, and whether that holds what they wrote. */
const SUPPORT = `
  import { once } from 'node:events'
  import { Worker } from 'node:worker_threads'
  const url = new URL(${JSON.stringify(new URL('./taken-worker.js', import.meta.url).href)})
  const start = (taking, transferList) => new Worker(url, { workerData: taking, transferList, execArgv: [] })
  const runTaking = async (taking) => {
    const worker = start(taking)
    const ended = once(worker, 'exit')
    const [buffer] = await once(worker, 'message')
    if (taking.end === 'terminate()') await worker.terminate()
    await ended
    return buffer
  }
  const isWhole = (buffer) => {
    const bytes = new Uint8Array(buffer)
    const isRight = bytes.length === ${BLOCK_BYTES} && bytes.every((byte) => byte === 7)
    bytes.fill(9)
    return isRight && bytes.every((byte) => byte === 9)
  }
  const leftBytes = () => percore.executor().stats().ioMemory.leftBytes
`

function run(program: string, options?: ChildOptions): ReturnType<typeof runChild> {
  return runChild(SUPPORT + program, options)
}

for (const take of takes) {
  for (const end of ends) {
    test(
      `memory taken by ${take} is there when its thread has ended by ${end}`,
      LIMIT,
      async () => {
        const takings = leases.map((lease) => ({ take, lease, end }))
        const program = `
        for (const taking of ${JSON.stringify(takings)}) console.log(isWhole(await runTaking(taking)))
        console.log(leftBytes())
      `

        const result = await run(program)

        assert.deepEqual(result, success(`true\ntrue\ntrue\n${3 * BLOCK_BYTES}\n`))
      },
    )
  }

  test(`memory taken by ${take} is there in a third thread`, LIMIT, async () => {
    const taking = { take, lease: 'released after', end: 'nothing left to do' }
    const program = `
      import { MessageChannel } from 'node:worker_threads'
      const third = new Worker(\`
        const { parentPort, workerData: port } = require('node:worker_threads')
        port.once('message', (buffer) => {
          parentPort.postMessage('taken')
          parentPort.once('message', () => parentPort.postMessage((\${isWhole})(buffer)))
        })
      \`, { eval: true, workerData: port1, transferList: [port1], execArgv: [] })
      const taken = once(third, 'message')
      await once(start({ ...${JSON.stringify(taking)}, port: port2 }, [port2]), 'exit')
      await taken
      third.postMessage('look')
      console.log(...(await once(third, 'message')))
      await third.terminate()
    `

    const result = await run(`
      const { port1, port2 } = new MessageChannel()
      ${program}`)

    assert.deepEqual(result, success('true\n'))
  })

  test(`memory taken by ${take} is not lent while another thread has it`, LIMIT, async () => {
    const taking = { take, lease: 'released after', end: 'told' }
    const program = `
      const worker = start(${JSON.stringify(taking)})
      let [buffer] = await once(worker, 'message')
      const hoard = async () => {
        worker.postMessage('hoard')
        return (await once(worker, 'message'))[0]
      }
      let count = 0
      for (let round = 0; round < 10; round++) count = await hoard()
      console.log(count, isWhole(buffer))
      buffer = null
      while (count === 3) {
        globalThis.gc()
        count = await hoard()
      }
      worker.postMessage('end')
      await once(worker, 'exit')
      console.log(count, leftBytes())
    `

    const result = await run(program, { flags: ['--expose-gc'] })

    assert.deepEqual(result, success('3 true\n4 0\n'))
  })
}

/** Many threads at a time, of which every second one takes memory. */
const THREADS = clientCount(24, 8)
const MANY = `
  const held = []
  const runMany = async (first) => {
    for (let i = first; i < ${THREADS}; i += 4) {
      const lease = ${JSON.stringify(leases)}[i % 3]
      const end = ${JSON.stringify(ends)}[(i >> 1) % 4]
      const taking = { take: i % 2 === 0 ? take : 'nothing', lease, end, otherCount: 50 }
      const buffer = await runTaking(taking)
      if (buffer !== null) held.push(buffer)
    }
  }
  await Promise.all([0, 1, 2, 3].map(runMany))
  console.log(held.length, held.every(isWhole), leftBytes())
`

test('of many threads what was taken is left, and nothing else', LIMIT, async () => {
  const count = THREADS / 2

  const result = await run(`const take = 'stream'; ${MANY}`)

  assert.deepEqual(result, success(`${count} true ${count * BLOCK_BYTES}\n`))
})

test('threads that take nothing leave nothing', LIMIT, async () => {
  const result = await run(`const take = 'nothing'; ${MANY}`)

  assert.deepEqual(result, success('0 true 0\n'))
})

test('views that PERCORE_DEBUG=1 has emptied are not left behind', LIMIT, async () => {
  const taking = { take: 'nothing', lease: 'released before', otherCount: 200 }
  const program = `
    for (const end of ${JSON.stringify(ends)}) await runTaking({ ...${JSON.stringify(taking)}, end })
    console.log(leftBytes())
  `

  const result = await run(program, { env: { PERCORE_DEBUG: '1' } })

  assert.deepEqual(result, success('0\n'))
})
