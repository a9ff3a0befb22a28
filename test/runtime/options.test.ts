/** What threads of a pool inherit of Node, and what Node's own threads are kept off. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { numbersOfMask } from '../../src/base/index.ts'
import { EPERM, UringKernel } from '../../src/kernel/index.ts'
import { type HelperPort, moveHelpers } from '../../src/runtime/helper-threads.ts'
import { ExecutorPool } from '../../src/runtime/index.ts'
import { withoutText } from '../../src/runtime/worker-starter.ts'
import { CpuSet, PoolPlacement } from '../../src/topology/index.ts'
import { runChild } from '../hazards/child.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(60_000)
const [nodeMajor] = process.versions.node.split('.').map(Number)

const programs: readonly [execArgv: string[], expected: string[]][] = [
  [
    ['--import', './x.js'],
    ['--import', './x.js'],
  ],
  [
    ['--import', './x.js', '-e', '1 + 1'],
    ['--import', './x.js'],
  ],
  [['--input-type=module', '-e', '-1', '--no-warnings'], ['--no-warnings']],
  [['--input-type', 'module', '--eval=1'], []],
  [
    ['-p', '1', '-C', 'development'],
    ['-C', 'development'],
  ],
  [['-p', '-e', '--no-warnings'], []],
  [['-pe', '1', '--no-warnings'], ['--no-warnings']],
  [['--no-warnings', '--print'], ['--no-warnings']],
]

for (const [execArgv, expected] of programs) {
  test(`withoutText() keeps what else there is of "${execArgv.join(' ')}"`, () => {
    assert.deepEqual(withoutText(execArgv), expected)
  })
}

test('shards of a program that is given as text have its other options', LIMIT, async () => {
  const mark = 'data:text/javascript,globalThis.mark = 7'
  const { code, output, errors } = await runChild(
    `
    const { ExecutorPool } = await import(${JSON.stringify(new URL('../../src/runtime/index.js', import.meta.url).href)})
    const text = 'export default () => [globalThis.mark, process.execArgv]'
    const module = 'data:text/javascript,' + encodeURIComponent(text)
    const pool = await ExecutorPool.start({ module, shards: 1 })
    console.log(JSON.stringify(await pool.results()))`,
    // The last one is V8's: a thread cannot have it of its own, and has the process's.
    { flags: ['--import', mark, '--expose-gc'] },
  )

  assert.equal(code, 0, errors)
  assert.deepEqual(JSON.parse(output), [[7, ['--import', mark]]])
})

test('moveHelpers() moves the threads of V8 and libuv, no other, and counts those that moved', () => {
  const names = ['node', 'V8Worker', 'libuv-worker', 'pool-0', 'DelayedTaskSche', 'node-V8Worker']
  const moved: [number, number[]][] = []
  const port: HelperPort = {
    threadIds: () => names.map((_, id) => id),
    readTextFile: (path) => `${names[Number(path.split('/')[4])]}\n`,
    setAffinity: (id, mask) => {
      if (id === 2) return -EPERM
      moved.push([id, numbersOfMask(mask)])
      return 0
    },
  }
  const [cpu] = CpuSet.allowed()

  const count = moveHelpers(port, new CpuSet([{ ...cpu!, id: 5 }]))

  assert.equal(count, 3)
  assert.deepEqual(moved, [
    [1, [5]],
    [4, [5]],
    [5, [5]],
  ])
})

test("Node's own threads are kept on helperCpus, the shard's are not", {
  ...LIMIT,
  skip: (nodeMajor ?? 0) < 22 && 'this version of Node does not tell them apart',
}, async () => {
  const before = readHelpers()
  const allowed = CpuSet.allowed()
  const helperCpus = allowed.filter(({ id }) => id === allowed.ids.at(-1))
  const module = new URL(`data:text/javascript,${encodeURIComponent('export default () => {}')}`)
  const placement = PoolPlacement.unbound(1)

  const pool = await ExecutorPool.start({ module, placement, helperCpus })

  const helpers = readHelpers()
  assert.ok(helpers.length >= before.length && helpers.length > 0)
  assert.equal(pool.helperCount, helpers.length)
  assert.deepEqual([...new Set(helpers)], [String(helperCpus)])
  assert.deepEqual(pool.shards[0]!.boundCpus, allowed.ids)
  await pool.join()
})

/** Where each of Node's own threads may run, as the kernel says. */
function readHelpers(): string[] {
  return new UringKernel().threadIds().flatMap((id) => {
    const status = readFileSync(`/proc/self/task/${id}/status`, 'utf8')
    const name = /^Name:\s*(.*)$/m.exec(status)![1]!
    const cpus = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)![1]!
    return /^(?:node-)?V8Worker|^libuv-worker|^DelayedTask|^SignalInspector/.test(name)
      ? [cpus]
      : []
  })
}
