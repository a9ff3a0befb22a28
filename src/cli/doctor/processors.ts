import { cpus } from 'node:os'
import type { Finding, Section } from './finding.ts'
import { readField, readList, readText } from './read.ts'

const NODES = '/sys/devices/system/node'

/** Looks at the processors that this process may use. */
export function examineProcessors(): Section {
  const quota = readQuota()
  const allowed = allowedProcessors()
  const findings = [processors(allowed)]
  if (quota !== undefined) findings.push(throttling(quota, allowed.length))
  return { id: 'processors', title: 'Processors', findings }
}

/** Looks at the NUMA nodes. */
export function examineMemoryNodes(): Section {
  const nodes = readList(readText(`${NODES}/online`) ?? '0').map((node) => ({
    node,
    processors: readText(`${NODES}/node${node}/cpulist`) ?? '',
  }))
  const isOne = nodes.length === 1
  const list = nodes.map(({ node, processors: cpulist }) => `node ${node} has ${cpulist || 'none'}`)
  const text = isOne
    ? 'There is one NUMA node: all memory is equally near to every processor.'
    : `There are ${nodes.length} NUMA nodes; by processors: ${list.join(', ')}.`
  return {
    id: 'numa',
    title: 'NUMA nodes',
    findings: [{ id: 'nodes', state: 'ok', text, data: { nodes } }],
  }
}

function processors(allowed: readonly number[]): Finding {
  const online = readList(readText('/sys/devices/system/cpu/online'))
  const model = cpus()[0]?.model.trim() ?? 'unknown'
  const isAll = allowed.length === online.length
  const which = isAll ? 'all of them' : `${allowed.length} of them: ${allowed.join(', ')}`
  const text =
    online.length === 1
      ? `One processor is online (${model}).`
      : `${online.length} processors are online (${model}); this process may use ${which}.`
  return { id: 'processors', state: 'ok', text, data: { online, allowed, model } }
}

function throttling(quota: number, allowedCount: number): Finding {
  const id = 'quota'
  const text = `A control group allows the time of ${quota} processors on ${allowedCount}.`
  if (quota >= allowedCount) return { id, state: 'ok', text, data: { quota } }
  return {
    id,
    state: 'could be better',
    text: `${text} An executor that is throttled holds up all of its tasks.`,
    change: `Give whole processors rather than a share of time: docker run --cpuset-cpus=0-${Math.max(0, Math.ceil(quota) - 1)}, or a Guaranteed pod under the static CPU manager`,
    data: { quota },
  }
}

function allowedProcessors(): number[] {
  return readList(readField('/proc/self/status', /^Cpus_allowed_list:\s+(\S+)$/m))
}

/** How many processors' time the control group allows, if it says so at its root: in a container. */
function readQuota(): number | undefined {
  const [limit, period] = (readText('/sys/fs/cgroup/cpu.max') ?? 'max 0').split(' ')
  if (limit !== 'max') return Number(limit) / Number(period)
  const quotaUs = Number(readText('/sys/fs/cgroup/cpu/cpu.cfs_quota_us') ?? -1)
  const periodUs = Number(readText('/sys/fs/cgroup/cpu/cpu.cfs_period_us') ?? 0)
  return quotaUs > 0 && periodUs > 0 ? quotaUs / periodUs : undefined
}
