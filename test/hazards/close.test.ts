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

test('8,000 waits of every kind are told at once, in linear time', LIMIT, async () => {
  const program = `
    import { Semaphore } from '${new URL('../../src/sync/index.js', import.meta.url).href}'
    const run = async (count) => {
      const semaphore = new Semaphore(0)
      const waits = []
      for (let i = 0; i < count; i++) {
        waits.push(semaphore.acquire(), time.sleep(1e6), percore.spawn(() => time.sleep(1e6)))
        waits.push(operations.poll(0))
      }
      await time.sleep(1)
      const start = performance.now()
      const told = Promise.allSettled(waits)
      await percore.executor().close()
      const codes = new Set((await told).map(({ reason }) => reason?.code))
      return [[...codes].join(), (performance.now() - start) / count]
    }
    const best = async (count) => {
      const runs = [await run(count), await run(count), await run(count)]
      return [runs[0][0], Math.min(...runs.map(([, each]) => each))]
    }
    const [, few] = await best(200)
    const [codes, many] = await best(2000)
    console.log(codes, many < few * 4 ? 'linear' : [few, many])
  `

  assert.deepEqual(await runChild(program), success('ERR_EXECUTOR_CLOSED linear\n'))
})
