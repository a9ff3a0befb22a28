/**
 * Starts pools and runtimes on the machine that it runs on, and compares where the kernel says that their threads and memory are with what
 * was asked for: `node scripts/placement-check.mjs ['[{ "name": …, "spread": …, "pack": …, "drivers": […] }, …]']`.
 *
 * Each situation is checked in a process of its own, which prints what it has found as a line of JSON; see scripts/machine-table.mjs.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { runAsProgram } from './project.mjs'
import { listHas, prepare, runChecks, runSituations } from './situation.mjs'

const MODULE = new URL('./placement-shard.mjs', import.meta.url)
/** An emulated machine takes its time to load a module. */
const OPTIONS = { startTimeoutMs: 900_000, executor: { ioMemoryBytes: 4 * 2 ** 20 } }
const SHARD_COUNT_MAX = 3
const HELPER = /^(?:node-V8Worker|V8Worker|libuv-worker|DelayedTask|SignalInspector)/

async function main([argument = '[{ "name": "as it is" }]', isOne]) {
  if (isOne === 'one') return await checkSituation(JSON.parse(argument))
  return runSituations(fileURLToPath(import.meta.url), argument)
}

async function checkSituation(situation) {
  prepare(situation)
  const { Topology } = await import('../dist/src/topology/index.js')
  const topology = Topology.read()
  console.log(`── ${situation.name}: ${topology.online} online, ${topology.allowed} allowed`)
  const found = { situation: situation.name }
  const checks = [
    ['shards by max-spread, and their memory, are where they were put', checkSpread],
    ['shards by max-pack, and their memory, are where they were put', checkPack],
    ['a context has its drivers, and these their processors and memory', checkDrivers],
    ["Node's own threads are kept off the shards' processors", checkHelpers],
  ]
  const failureCount = await runChecks(checks, { topology, situation, found })
  console.log(JSON.stringify(found))
  return failureCount === 0 ? 0 : 1
}

async function checkSpread(given) {
  given.found.spread = await checkPool(given, 'maxSpread', given.situation.spread)
}

async function checkPack(given) {
  given.found.pack = await checkPool(given, 'maxPack', given.situation.pack)
}

/** All places are compared with what is expected; threads are started for the first ones, as drivers are for all processors. */
async function checkPool({ topology }, policy, expected) {
  const { ExecutorPool } = await import('../dist/src/runtime/index.js')
  const { PoolPlacement } = await import('../dist/src/topology/index.js')
  const order = PoolPlacement[policy]().resolve(topology)
  if (expected !== undefined) assert.equal(order.join(' '), expected)
  const placement = PoolPlacement[policy](Math.min(SHARD_COUNT_MAX, order.length))
  const pool = await ExecutorPool.start({ ...OPTIONS, module: MODULE, placement })
  const reports = await pool.results()
  for (const [id, report] of reports.entries()) {
    assert.equal(String(pool.shards[id].cpus), String(order[id]))
    const { cpus, boundCpus, memoryNodes, refusals } = pool.shards[id]
    checkPlace(topology, report, cpus)
    assert.deepEqual(boundCpus, cpus.ids)
    if (memoryNodes !== null) assert.deepEqual(memoryNodes, topology.memoryNodesOf(cpus))
    assert.deepEqual(refusals, [])
  }
  return reports
}

/** Compares what a thread says of itself with where it was to be. */
function checkPlace(topology, report, cpus) {
  const memoryNodes = topology.memoryNodesOf(cpus)
  assert.equal(report.bound, String(cpus))
  assert.ok(listHas(String(cpus), report.processor), `on ${report.processor} of ${cpus}`)
  for (const nodes of [report.heapNodes, report.ioNodes ?? []]) {
    for (const node of nodes) assert.ok(memoryNodes.includes(node), `${node} of ${memoryNodes}`)
  }
}

async function checkDrivers({ topology, situation, found }) {
  const { Runtime, splitSiblings } = await import('../dist/src/runtime/index.js')
  const runtime = await Runtime.start({ ...OPTIONS, layout: splitSiblings })
  found.drivers = runtime.contexts.map(({ node, memoryNodes, drivers }) => {
    const list = drivers.map(({ kind, cpus }) => `${kind} ${cpus}`)
    return `${node} of ${memoryNodes}: ${list.join(', ')}`
  })
  if (situation.drivers !== undefined) assert.deepEqual(found.drivers, situation.drivers)
  found.reports = await Promise.all(
    runtime.drivers.map(async (driver) => {
      const { kind, name, cpus, shard } = driver
      const isTask = kind === 'task'
      const report = await driver.run({ module: MODULE, ...(isTask && { name: 'reportTasks' }) })
      checkPlace(topology, report, cpus)
      assert.deepEqual(shard.boundCpus, cpus.ids)
      if (isTask) assert.equal(report.ioMemoryBytes, 0)
      return { driver: name, ...report }
    }),
  )
  checkSiblings(runtime.drivers)
  await runtime.stop()
}

/** A driver for I/O is followed by one for tasks, on the other hardware threads of its core: so says the kernel. */
function checkSiblings(drivers) {
  for (const [index, { kind, cpus }] of drivers.entries()) {
    if (kind !== 'io') continue
    const next = drivers[index + 1]
    const [id] = cpus.ids
    const path = `/sys/devices/system/cpu/cpu${id}/topology/thread_siblings_list`
    const siblings = readFileSync(path, 'utf8').trim()
    assert.equal(next.kind, 'task')
    for (const sibling of next.cpus.ids) assert.ok(listHas(siblings, sibling), `${sibling}`)
  }
}

async function checkHelpers({ topology, found }) {
  const { ExecutorPool } = await import('../dist/src/runtime/index.js')
  const { PoolPlacement } = await import('../dist/src/topology/index.js')
  const { allowed } = topology
  if (allowed.size < 2) return 'there is one processor only'
  const [first] = allowed.ids
  const helperCpus = allowed.filter(({ id }) => id === first)
  const placement = PoolPlacement.maxSpread(1, allowed.difference(helperCpus))
  const pool = await ExecutorPool.start({ ...OPTIONS, module: MODULE, placement, helperCpus })
  await pool.join()
  const helpers = readdirSync('/proc/self/task').flatMap((id) => {
    const status = readFileSync(`/proc/self/task/${id}/status`, 'utf8')
    const name = /^Name:\s*(.*)$/m.exec(status)[1]
    const bound = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)[1]
    return HELPER.test(name) ? [{ name, bound }] : []
  })
  found.helpers = helpers
  if (helpers.length === 0) return 'this version of Node does not tell them apart'
  assert.equal(pool.helperCount, helpers.length)
  for (const { name, bound } of helpers) assert.equal(bound, `${first}`, name)
}

await runAsProgram(import.meta.url, main)
