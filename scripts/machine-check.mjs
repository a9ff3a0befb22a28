/**
 * Compares what `percore/topology` says of the machine that it runs on with what `lscpu`, other files of /sys and the kernel itself
 * say: `node scripts/machine-check.mjs ['[{ "name": …, "spread": …, "pack": … }, …]']`.
 *
 * Each situation is checked in a process of its own, after what it asks for: `offline` takes processors away, `cpuset` and `memory` restrict
 * the process by a control group. Both need root, and change the machine: they are for virtual ones, see scripts/machines.mjs.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { capture, runAsProgram } from './project.mjs'
import {
  listHas,
  nodesOfNewMemory,
  prepare,
  processorNow,
  runChecks,
  runSituations,
  showList,
} from './situation.mjs'

const CPUS = '/sys/devices/system/cpu'
const MPOL_DEFAULT = 0
const MPOL_PREFERRED = 1
const PAGE_BYTES = 4096

async function main([argument = '[{ "name": "as it is" }]', isOne]) {
  if (isOne === 'one') return await checkSituation(JSON.parse(argument))
  return runSituations(fileURLToPath(import.meta.url), argument)
}

async function checkSituation(situation) {
  prepare(situation)
  const { Topology, PoolPlacement } = await import('../dist/src/topology/index.js')
  const { UringKernel } = await import('../dist/src/kernel/index.js')
  const kernel = new UringKernel()
  const topology = Topology.read(kernel)
  const order = (name) => PoolPlacement[name]().resolve(topology).join(' ')
  console.log(`── ${situation.name}: ${topology.online} online, ${topology.allowed} allowed, nodes`)
  for (const { id, cpus, memoryBytes } of topology.nodes) {
    const distances = topology.nodes.map((other) => topology.distance(id, other.id))
    console.log(
      `   ${id}: '${cpus}', ${Math.round(memoryBytes / 2 ** 20)} MiB, distances ${distances}`,
    )
  }
  console.log(`   spread ${order('maxSpread')}\n   pack   ${order('maxPack')}`)
  const checks = [
    ['processors, cores, packages, nodes and caches are those of lscpu', checkLscpu],
    ['processors are below the nodes that they are linked to', checkLinks],
    ['what is allowed is what the kernel says of this process', checkAllowed],
    ['the memory of the nodes is that of the machine', checkMemory],
    ['a thread runs on the processor that it is bound to', checkBinding],
    ['memory is on the node that is preferred', checkPreferred],
    ['memory of a bound thread is on the node that is named as its own', checkLocal],
    ['max-spread and max-pack are as expected', checkPlacements],
  ]
  const failureCount = await runChecks(checks, { topology, kernel, situation, order })
  return failureCount === 0 ? 0 : 1
}

/** Numbers of groups differ between programs: who is together does not. */
function checkLscpu({ topology }) {
  const { status, stdout } = capture('lscpu', ['-p=CPU,CORE,SOCKET,NODE,CACHE'])
  if (status !== 0) return 'there is no lscpu'
  const rows = stdout
    .split('\n')
    .filter((line) => /^\d/.test(line))
    .map((line) => line.split(','))
  assert.deepEqual(
    rows.map(([cpu]) => Number(cpu)),
    [...topology.online.ids],
  )
  const columns = { core: 1, package: 2, node: 3 }
  for (const [level, column] of Object.entries(columns)) {
    assert.deepEqual(
      partsOf(topology, level),
      partsBy(rows, (row) => row[column]),
      level,
    )
  }
  for (const [level, place] of [
    ['l2', 2],
    ['l3', 3],
  ]) {
    // L1d:L1i:L2:L3, as far as there are any.
    const cacheOf = (row) => row[4]?.split(':')[place]
    if (rows.every((row) => cacheOf(row))) {
      assert.deepEqual(partsOf(topology, level), partsBy(rows, cacheOf), level)
    }
  }
}

function checkLinks({ topology }) {
  for (const { id, node } of topology.online) {
    const links = readdirSync(`${CPUS}/cpu${id}`).filter((name) => /^node\d+$/.test(name))
    assert.deepEqual(links, [`node${node}`])
  }
}

function checkAllowed({ topology }) {
  const status = readFileSync('/proc/self/status', 'utf8')
  const cpus = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)[1]
  const online = topology.online.filter(({ id }) => !topology.offline.includes(id))
  const allowed = online.filter(({ id }) => listHas(cpus, id))
  assert.equal(String(topology.allowed), String(allowed))
  const memory = /^Mems_allowed_list:\s*(\S+)$/m.exec(status)[1]
  for (const node of topology.memoryNodes) assert(listHas(memory, node))
}

/** By the pages of the zones of each node; drivers that give and take memory change them at any time. */
function checkMemory({ topology }) {
  const pages = new Map(topology.nodes.map(({ id }) => [id, 0]))
  let node
  for (const line of readFileSync('/proc/zoneinfo', 'utf8').split('\n')) {
    node = Number(/^Node (\d+), zone/.exec(line)?.[1] ?? node)
    pages.set(node, pages.get(node) + Number(/^ +managed +(\d+)$/.exec(line)?.[1] ?? 0))
  }
  for (const { id, memoryBytes } of topology.nodes) {
    const bytes = pages.get(id) * PAGE_BYTES
    assert(Math.abs(bytes - memoryBytes) <= bytes / 100, `node ${id}: ${memoryBytes}, ${bytes}`)
  }
}

function checkBinding({ topology, kernel }) {
  for (const { id } of topology.allowed) {
    assert.equal(kernel.setAffinity(0, maskOf([id])), 0)
    assert.equal(processorNow(), id)
  }
  assert.equal(kernel.setAffinity(0, maskOf(topology.allowed.ids)), 0)
}

function checkPreferred({ topology, kernel }) {
  if (kernel.getMemoryPolicy(new Uint8Array(128)) < 0) return 'the kernel refuses memory policies'
  for (const node of topology.memoryNodes) {
    assert.equal(kernel.setMemoryPolicy(MPOL_PREFERRED, maskOf([node])), 0)
    assert.deepEqual(nodesOfNewMemory(kernel), [node])
  }
  assert.equal(kernel.setMemoryPolicy(MPOL_DEFAULT, new Uint8Array(8)), 0)
}

function checkLocal({ topology, kernel }) {
  if (nodesOfNewMemory(kernel).some((node) => node < 0)) return 'the kernel does not tell of pages'
  for (const set of topology.allowed.groupBy('node')) {
    assert.equal(kernel.setAffinity(0, maskOf(set.ids)), 0)
    const nodes = topology.memoryNodesOf(set)
    for (const node of nodesOfNewMemory(kernel)) assert(nodes.includes(node), `${node} of ${nodes}`)
  }
  assert.equal(kernel.setAffinity(0, maskOf(topology.allowed.ids)), 0)
}

function checkPlacements({ situation, order }) {
  if (situation.spread === undefined) return 'nothing is expected'
  assert.equal(order('maxSpread'), situation.spread)
  assert.equal(order('maxPack'), situation.pack)
}

function partsOf(topology, level) {
  return topology.online.groupBy(level).map(String)
}

/** The rows in groups of equal keys, as lists of their processors, in the order of the lowest. */
function partsBy(rows, keyOf) {
  const groups = new Map()
  for (const row of rows) {
    const key = keyOf(row)
    groups.set(key, [...(groups.get(key) ?? []), Number(row[0])])
  }
  return [...groups.values()].map(showList)
}

function maskOf(numbers) {
  const mask = new Uint8Array(Math.ceil((Math.max(...numbers) + 1) / 64) * 8)
  for (const number of numbers) mask[number >> 3] |= 1 << (number & 7)
  return mask
}

await runAsProgram(import.meta.url, main)
