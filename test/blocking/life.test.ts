/** What functions in other threads do to the life of a program. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runChild, success } from '../hazards/child.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(60_000)
const DOOR = JSON.stringify(new URL('../../src/blocking/index.js', import.meta.url).href)
const WORK = JSON.stringify(new URL('./work.js', import.meta.url).href)

function run(body: string): ReturnType<typeof runChild> {
  return runChild(`
    const { spawnBlocking, BlockingPool } = await import(${DOOR})
    const WORK = ${WORK}
    ${body}`)
}

test(
  'a program stays alive for a call, and not for the threads that have answered',
  LIMIT,
  async () => {
    const body = `spawnBlocking(WORK, 'addLater', [1, 2]).then(console.log)`

    assert.deepEqual(await run(body), success('3\n'))
  },
)

test('a function that leaves a timer in its thread does not keep the program', LIMIT, async () => {
  const body = `console.log(await spawnBlocking(WORK, 'leaveTimer'))`

  assert.deepEqual(await run(body), success('undefined\n'))
})

test(
  'a program does not stay alive for a function that nobody waits for any more',
  LIMIT,
  async () => {
    const body = `
    await spawnBlocking(WORK, 'loop', [], { timeoutMs: 200 }).catch(({ code }) => console.log(code))`

    assert.deepEqual(await run(body), success('ERR_TASK_TIMEOUT\n'))
  },
)

test(
  'the close of the executor tells who waits, and the program ends though a function does not',
  LIMIT,
  async () => {
    const body = `
    const words = new Int32Array(new SharedArrayBuffer(8))
    const pool = new BlockingPool()
    const calls = [1, 2, 3, 4, 5].map(() => pool.call(WORK, 'loop', [words]).catch(({ code }) => code))
    while (Atomics.load(words, 0) < 4) await time.sleep(1)
    await percore.executor().close()
    console.log((await Promise.all(calls)).join(' '))
    await pool.call(WORK, 'add', [1, 1]).catch(({ code }) => console.log(code))`
    const codes = Array(5).fill('ERR_EXECUTOR_CLOSED').join(' ')

    assert.deepEqual(await run(body), success(`${codes}\nERR_EXECUTOR_CLOSED\n`))
  },
)

test('process.exit() while functions run ends the program at once', LIMIT, async () => {
  const body = `
    const words = new Int32Array(new SharedArrayBuffer(8))
    spawnBlocking(WORK, 'loop', [words])
    while (Atomics.load(words, 0) < 1) await time.sleep(1)
    process.exit(7)`

  assert.deepEqual(await run(body), { ...success(), code: 7 })
})

test('a failure that nobody handles is reported as such', LIMIT, async () => {
  const { code, errors } = await run(`spawnBlocking(WORK, 'failInside')`)

  assert.equal(code, 1)
  assert.match(errors, /out of reach/)
})

test(
  'a server of node:http answers others while functions block, and the program ends as it is closed',
  LIMIT,
  async () => {
    const body = `
    const { createServer } = await import('node:http')
    const words = new Int32Array(new SharedArrayBuffer(8))
    const server = createServer(async (request, response) => {
      const isSlow = request.url === '/slow'
      response.end(isSlow ? await spawnBlocking(WORK, 'pass', [words, 'slow']) : 'fast')
    })
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    const base = 'http://127.0.0.1:' + server.address().port
    const ask = async (path) => (await fetch(base + path, { headers: { connection: 'close' } })).text()
    const slow = Promise.all([1, 2, 3, 4, 5, 6].map(() => ask('/slow')))
    while (Atomics.load(words, 0) < 4) await time.sleep(1)
    console.log(await ask('/fast'))
    Atomics.store(words, 1, 1)
    Atomics.notify(words, 1)
    console.log((await slow).join(' '))
    server.close()`

    assert.deepEqual(await run(body), success('fast\nslow slow slow slow slow slow\n'))
  },
)

test(
  'a program given as text, with flags that threads refuse, has its threads all the same',
  LIMIT,
  async () => {
    const { code, output } = await run(`console.log(await spawnBlocking(WORK, 'add', [20, 22]))`)

    assert.deepEqual([code, output], [0, '42\n'])
  },
)
