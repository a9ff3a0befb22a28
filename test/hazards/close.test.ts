/** Programs that close their executor on purpose: they end well, whatever waited. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { limited } from '../limits.ts'
import { runChild, success } from './child.ts'

const LIMIT = limited(60_000)

test('what nobody awaits does not end a program that closes its executor', LIMIT, async () => {
  const program = `
    percore.spawn(() => time.sleep(1e6)).detach()
    void time.sleep(1e6)
    void operations.poll(0)
    void percore.yieldNow()
    void (async () => { await time.sleep(1e6) })()
    void (async () => { for (;;) await operations.poll(0) })()
    await time.sleep(1)
    await percore.executor().close()
    await time.sleep(1)
    console.log('end')
  `

  assert.deepEqual(await runChild(program), success('end\n'))
})

test('a failure of its own ends a program that closes its executor', LIMIT, async () => {
  const program = `
    void (async () => {
      try { await time.sleep(1e6) } finally { throw new TypeError('of its own') }
    })()
    await time.sleep(1)
    await percore.executor().close()
    await time.sleep(1)
    console.log('end')
  `

  const result = await runChild(program)

  assert.equal(result.code, 1)
  assert.match(result.errors, /TypeError: of its own/)
  assert.equal(result.output, '')
})

test('who listens for unhandled rejections is told of those of a close', LIMIT, async () => {
  const program = `
    process.on('unhandledRejection', (reason) => console.log(reason.code))
    void (async () => { await time.sleep(1e6) })()
    void time.sleep(1e6)
    await percore.executor().close()
    await time.sleep(1)
  `

  assert.deepEqual(await runChild(program), success('ERR_EXECUTOR_CLOSED\n'))
})

test('close() alone keeps a program alive until it has resolved', LIMIT, async () => {
  const program = `
    let isOver = false
    percore.spawn(async () => {
      try { await new Promise(() => {}) } finally { isOver = true }
    })
    percore.executor().close().then(() => console.log('closed', isOver))
  `

  assert.deepEqual(await runChild(program), success('closed false\n'))
})

test('close() that is called as the program ends changes nothing', LIMIT, async () => {
  const program = `
    void operations.poll(0).catch(() => {})
    process.on('exit', () => void percore.executor().close())
    await time.sleep(1)
    process.exit(0)
  `

  assert.deepEqual(await runChild(program), success())
})

test('close() in a worker that is then terminated leaves nothing behind', LIMIT, async () => {
  const program = `
    import { Worker } from 'node:worker_threads'
    const code = \`
      const { parentPort, workerData } = require('node:worker_threads')
      import(workerData).then(async (percore) => {
        percore.spawn(() => new Promise(() => {}))
        await percore.yieldNow()
        void percore.executor().close()
        parentPort.postMessage('closing')
      })\`
    for (let i = 0; i < 3; i++) {
      const worker = new Worker(code, { eval: true, execArgv: [], workerData: process.env.DOOR })
      await new Promise((resolve) => worker.once('message', resolve))
      await worker.terminate()
    }
    console.log('end')
  `
  const env = { DOOR: new URL('../../src/index.js', import.meta.url).href }

  assert.deepEqual(await runChild(program, { env }), success('end\n'))
})

test('16,000 waits of each kind are told at once, in linear time', LIMIT, async () => {
  // Processor time of one kind at a time, which others on the machine hardly change. A walk through those
  // that wait for each that is told makes it 10 times and more; collected garbage and cold caches, 5.
  const program = `
    import { Semaphore } from '${new URL('../../src/sync/index.js', import.meta.url).href}'
    const semaphore = new Semaphore(0)
    const kinds = {
      acquire: () => semaphore.acquire(),
      sleep: () => time.sleep(1e6),
      task: () => percore.spawn(() => new Promise(() => {})),
      sleeping: () => percore.spawn(() => time.sleep(1e6)),
      poll: () => operations.poll(0),
    }
    const codes = new Set()
    const costOf = async (begin, count) => {
      const waits = Array.from({ length: count }, begin)
      await time.sleep(1)
      const told = Promise.allSettled(waits)
      const before = process.cpuUsage()
      await percore.executor().close()
      const { user, system } = process.cpuUsage(before)
      for (const { reason } of await told) codes.add(reason?.code)
      return (user + system) / count
    }
    const ratioOf = async (begin) => {
      const few = []
      for (let i = 0; i < 4; i++) few.push(await costOf(begin, 1000))
      return (await costOf(begin, 16_000)) / Math.min(...few)
    }
    for (const [kind, begin] of Object.entries(kinds)) {
      const ratios = []
      do ratios.push(await ratioOf(begin))
      while (ratios.at(-1) >= 7 && ratios.length < 4)
      if (ratios.at(-1) >= 7) console.log(kind, ratios)
    }
    console.log(...codes)
  `

  assert.deepEqual(await runChild(program), success('ERR_EXECUTOR_CLOSED\n'))
})
