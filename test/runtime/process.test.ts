/** How a process ends that has a pool. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runChild } from '../hazards/child.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(60_000)
const MODULE = JSON.stringify(new URL('./shard-programs.js', import.meta.url).href)
const PREFIX = `
  const { ExecutorPool } = await import(${JSON.stringify(new URL('../../src/runtime/index.js', import.meta.url).href)})
  const start = (what) => ExecutorPool.start({ module: ${MODULE}, argument: { do: what }, shards: 1 })
`

test(
  'a program lives while shards run, and ends with them, when it forgets join()',
  LIMIT,
  async () => {
    const { code, errors } = await runChild(`${PREFIX}
    await start('describe')
    process.on('exit', () => console.error('end'))`)

    assert.deepEqual([code, errors], [0, 'end\n'])
  },
)

test('unref() lets a program end while shards run', LIMIT, async () => {
  const { code, output } = await runChild(`${PREFIX}
    const pool = await start('waitForEver')
    pool.unref()
    console.log('main is done')`)

  assert.deepEqual([code, output], [0, 'main is done\n'])
})

test(
  'unref() lets a program end while a shard waits for its restart, or is starting',
  LIMIT,
  async () => {
    const { code, output } = await runChild(`${PREFIX}
    const pool = await ExecutorPool.start({
      module: ${MODULE},
      argument: { do: 'throw' },
      shards: 1,
      restart: { backoffMs: 2 ** 40, backoffMsMax: 2 ** 40 },
      onExit: () => {
        pool.unref()
        console.log('unreferenced')
      },
    })`)

    assert.deepEqual([code, output], [0, 'unreferenced\n'])
  },
)

test(
  'a message of a shard that cannot be read ends that shard, rather than be waited for',
  LIMIT,
  async () => {
    const { code, output, errors } = await runChild(`
    const { Worker } = await import('node:worker_threads')
    const { WorkerStarter } = await import(${JSON.stringify(new URL('../../src/runtime/worker-starter.js', import.meta.url).href)})
    const program = {
      id: 0, count: 1, generation: 1, name: 'lost', module: ${MODULE}, argument: { do: 'waitForEver' },
      cpus: [], node: null, executor: {}, asksForNodes: 'no',
    }
    const emit = Worker.prototype.emit
    // The kernel of Node makes such an event of what it cannot read.
    Worker.prototype.emit = function (event, ...args) {
      return event === 'message' ? emit.call(this, 'messageerror', new Error('unreadable')) : emit.call(this, event, ...args)
    }
    new WorkerStarter().start({ program, heap: {} }, {
      onMessage: () => console.log('message'),
      onEnd: ({ exitCode, failure }) => console.log(exitCode, failure.error.message),
    })`)

    assert.deepEqual([code, output, errors], [0, '1 unreadable\n', ''])
  },
)

test('stopping a pool that has ended does not keep a program alive', LIMIT, async () => {
  const { code, output } = await runChild(`${PREFIX}
    const pool = await start('describe')
    await pool.stop()
    await pool.stop({ deadlineMs: 2 ** 43 })
    console.log(process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length)`)

  assert.deepEqual([code, output], [0, '0\n'])
})

test('process.exit() ends a program whose shards are busy', LIMIT, async () => {
  const { code } = await runChild(`${PREFIX}
    await start('waitForEver')
    process.exit(3)`)

  assert.equal(code, 3)
})

test('an interrupt ends a program with a pool as any other', LIMIT, async () => {
  const { signal } = await runChild(
    `${PREFIX}
    await start('waitForEver')
    console.log('ready')`,
    { onOutput: (child) => child.kill('SIGINT') },
  )

  assert.equal(signal, 'SIGINT')
})

test('what a shard prints before it is stopped is printed', LIMIT, async () => {
  const { output } = await runChild(`
    ${PREFIX}
    const text = 'export default async (shard) => { shard.argument[0] = 1; await new Promise((done) => shard.signal.addEventListener("abort", done)); console.log("bye") }'
    const module = 'data:text/javascript,' + encodeURIComponent(text)
    const argument = new Int32Array(new SharedArrayBuffer(4))
    const pool = await ExecutorPool.start({ module, argument, shards: 1 })
    while (Atomics.load(argument, 0) === 0) await time.sleep(1)
    await pool.stop()`)

  assert.equal(output, 'bye\n')
})
