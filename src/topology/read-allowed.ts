import { numbersOfMask, parseNumberList } from '../base/index.ts'
import { EINVAL, type MachinePort } from '../kernel/index.ts'
import type { MachineFiles } from './machine-files.ts'

const MASK_BYTES_MIN = 128
/** 65,536 processors. */
const MASK_BYTES_MAX = 8192

/**
 * The processors that the main thread may run on, whatever this thread is bound to; null where the kernel does
 * not say. Longer masks are tried until the kernel's fits: it has more than 1,024 processors on some machines.
 */
export function readAffinity(port: MachinePort): number[] | null {
  for (let lengthBytes = MASK_BYTES_MIN; lengthBytes <= MASK_BYTES_MAX; lengthBytes *= 2) {
    const mask = new Uint8Array(lengthBytes)
    const result = port.getAffinity(port.processId, mask)
    if (result >= 0) return numbersOfMask(mask.subarray(0, result))
    if (result !== -EINVAL) return null
  }
  return null
}

/** The processors of the control group, of either version; null where none restricts them. */
export function readCpuset(files: MachineFiles): number[] | null {
  const groups = files.text('/proc/self/cgroup')
  const mounts = files.text('/proc/self/mountinfo')
  if (groups === null || mounts === null) return null
  const found = findHierarchy(groups, mounts)
  if (found === null) return null
  const names = found.isUnified
    ? ['cpuset.cpus.effective']
    : ['cpuset.effective_cpus', 'cpuset.cpus']
  // A group of the second version without the controller has what those above it have.
  for (let path = found.path; ; path = path.slice(0, path.lastIndexOf('/'))) {
    for (const name of names) {
      const cpus = files.list(`${found.mount}${path}/${name}`)
      if (cpus !== null && cpus.length > 0) return cpus
    }
    if (path === '') return null
  }
}

/** The nodes whose memory the process may use; null where the kernel does not say. */
export function readAllowedMemory(files: MachineFiles): number[] | null {
  const status = files.text('/proc/self/status') ?? ''
  const list = /^Mems_allowed_list:\s*(\S+)$/m.exec(status)?.[1]
  return list === undefined ? null : parseNumberList(list)
}

/** Where the control group that decides is: its folder is `mount` and `path`, which is empty for the mount itself. */
interface Hierarchy {
  readonly isUnified: boolean
  readonly mount: string
  readonly path: string
}

function findHierarchy(groups: string, mounts: string): Hierarchy | null {
  // ABI: cgroups(7): hierarchy:controllers:path
  const lines = groups.split('\n').map((line) => /^\d+:([^:]*):(\/.*)$/.exec(line))
  const own = lines.find((line) => line?.[1]?.split(',').includes('cpuset'))
  // Where both versions are mounted, the controller is in the first as long as that names it.
  const line = own ?? lines.find((line) => line?.[1] === '')
  if (!line) return null
  const isUnified = own === undefined
  for (const text of mounts.split('\n')) {
    const mount = parseMount(text)
    if (mount === null) continue
    const isTheOne = isUnified
      ? mount.type === 'cgroup2'
      : mount.type === 'cgroup' && mount.options.includes('cpuset')
    if (isTheOne) return { isUnified, mount: mount.point, path: pathWithin(mount.root, line[2]!) }
  }
  return null
}

interface Mount {
  /** The part of the file system that is mounted. */
  readonly root: string
  readonly point: string
  readonly type: string
  readonly options: readonly string[]
}

/** ABI: proc_pid_mountinfo(5): id, parent, device, root, point, options, more of them, `-`, type, source, options. */
function parseMount(line: string): Mount | null {
  const words = line.split(' ')
  const separator = words.indexOf('-', 6)
  const [root, point] = words.slice(3, 5)
  const [type, , options = ''] = words.slice(separator + 1)
  if (separator < 0 || !root || !point || !type) return null
  return { root: decodeBlanks(root), point: decodeBlanks(point), type, options: options.split(',') }
}

/** A container sees its own group as the root of what is mounted, and may still be told its path on the host. */
function pathWithin(root: string, path: string): string {
  if (path === '/' || path === root) return ''
  if (root === '/') return path
  return path.startsWith(`${root}/`) ? path.slice(root.length) : ''
}

/** Blanks and the like are written as octal numbers: `\040`. */
function decodeBlanks(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  )
}
