/** What the programs that check virtual machines do to a machine, and ask of its kernel. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { Refusal } from './project.mjs'

const CPUS = '/sys/devices/system/cpu'
const CGROUP = '/sys/fs/cgroup'
const PAGE_BYTES = 4096
const PAGE_COUNT = 64
/** More than malloc ever takes from what another thread may have touched. */
const HEAP_BYTES = 40 * 2 ** 20

/** Checks each of the situations that `argument` lists in a process of its own: `program` with it, and the word `one`. */
export function runSituations(program, argument) {
  let exitCode = 0
  for (const situation of JSON.parse(argument)) {
    const { taskset } = situation
    const restrict = taskset === undefined ? [] : ['taskset', '-c', taskset]
    const command = [...restrict, process.execPath, program, JSON.stringify(situation), 'one']
    const { status } = spawnSync(command[0], command.slice(1), { stdio: 'inherit' })
    exitCode = (status ?? 1) || exitCode
  }
  return exitCode
}

/**
 * Takes the processors `offline` away, and restricts this process by a control group to those of `cpuset`, and to nodes of
 * `memory`. Needs root, and changes the machine.
 */
export function prepare({ offline = [], cpuset, memory }) {
  for (const cpu of offline) writeFileSync(`${CPUS}/cpu${cpu}/online`, '0')
  if (cpuset === undefined && memory === undefined) return
  if (!existsSync(`${CGROUP}/cgroup.controllers`)) {
    throw new Refusal(`Cannot restrict the process as ${CGROUP} must be of version 2`)
  }
  writeFileSync(`${CGROUP}/cgroup.subtree_control`, '+cpuset')
  const group = `${CGROUP}/percore-${process.pid}`
  mkdirSync(group)
  if (cpuset !== undefined) writeFileSync(`${group}/cpuset.cpus`, cpuset)
  if (memory !== undefined) writeFileSync(`${group}/cpuset.mems`, memory)
  writeFileSync(`${group}/cgroup.procs`, `${process.pid}`)
}

/** The processor that the calling thread is on. ABI: proc_pid_stat(5): the 39th word, counted behind the name, which may have blanks. */
export function processorNow() {
  const text = readFileSync('/proc/thread-self/stat', 'utf8')
  return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[36])
}

/** The nodes of memory of the kernel's that is touched now, by the calling thread; or one negative error. */
export function nodesOfNewMemory(kernel) {
  return nodesOf(kernel, kernel.allocate(PAGE_COUNT * PAGE_BYTES).bytes)
}

/** The same of memory of the heap. */
export function nodesOfNewHeap(kernel) {
  return nodesOf(kernel, new Uint8Array(HEAP_BYTES))
}

/** The nodes of the first pages of `bytes`, once they are touched; or one negative error. */
export function nodesOf(kernel, bytes) {
  const first = kernel.addressOf(bytes)
  const addresses = Float64Array.from(
    { length: PAGE_COUNT },
    (_, page) => first + page * PAGE_BYTES,
  )
  bytes.subarray(0, PAGE_COUNT * PAGE_BYTES).fill(1)
  const nodes = new Int32Array(PAGE_COUNT)
  const result = kernel.nodesOfPages(addresses, nodes)
  return result < 0 ? [result] : [...new Set(nodes)].sort((a, b) => a - b)
}

/** `0-3,6` for numbers in ascending order. */
export function showList(numbers) {
  const ranges = []
  for (const number of numbers) {
    const last = ranges.at(-1)
    if (last !== undefined && last[1] === number - 1) last[1] = number
    else ranges.push([number, number])
  }
  return ranges.map(([first, last]) => (first === last ? first : `${first}-${last}`)).join(',')
}

export function listHas(list, number) {
  return list.split(',').some((range) => {
    const [first, last = first] = range.split('-').map(Number)
    return first <= number && number <= last
  })
}

/** Runs checks one after the other, and prints what comes of each; how many have failed. */
export async function runChecks(checks, given) {
  let failureCount = 0
  for (const [name, check] of checks) {
    try {
      const reason = await check(given)
      console.log(reason === undefined ? `✔ ${name}` : `﹣ ${name}: ${reason}`)
    } catch (error) {
      failureCount++
      console.log(`✖ ${name}\n${error.message}`)
    }
  }
  return failureCount
}
