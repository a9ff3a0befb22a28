import { formatBytes, KernelError } from '../../base/index.ts'
import { type DeviceProperties, IO_PROPERTIES_VARIABLE } from '../../executor/index.ts'
import { DirectFile } from '../../io/index.ts'
import type { Finding, Section } from './finding.ts'
import { findMount, findQueue, isInMemory, type Mount, refusalOfDirect } from './mount.ts'
import { readText } from './read.ts'

const BLOCK_BYTES = 4096

/** Looks at the file system of a folder; with percore itself, if it can run. */
export async function examineFileSystem(folder: string, canRun: boolean): Promise<Section> {
  const mount = findMount(folder)
  const direct = directIo(mount)
  const findings = [fileSystem(mount), direct]
  if (canRun && direct.state === 'ok') findings.push(await roundTrip(mount))
  return { id: 'file-system', title: `File system of ${mount.folder}`, findings }
}

/** Looks at the queue of the block device below a folder. */
export function examineDevice(
  folder: string,
  properties: readonly DeviceProperties[] | null,
): Section {
  const mount = findMount(folder)
  const queue = findQueue(mount.device)
  const title = 'Block device'
  if (queue === undefined) {
    const text = `There is no block device to look at below ${mount.type} (${mount.source}).`
    const data = { device: mount.device }
    return { id: 'device', title, findings: [{ id: 'queue', state: 'ok', text, data }] }
  }
  const read = (name: string): string => readText(`${queue.folder}/${name}`) ?? 'unknown'
  const facts = {
    scheduler: /\[(.+)\]/.exec(read('scheduler'))?.[1] ?? read('scheduler'),
    requestCount: Number(read('nr_requests')),
    isRotational: read('rotational') === '1',
    isPolled: read('io_poll') === '1',
    logicalBlockBytes: Number(read('logical_block_size')),
  }
  const findings = [deviceQueue(queue.name, facts)]
  if (properties !== null) {
    const device = readText(`${queue.folder}/../dev`) ?? 'unknown'
    findings.push(deviceLimits({ name: queue.name, device, folder: mount.folder }, properties))
  }
  return { id: 'device', title, findings }
}

function fileSystem(mount: Mount): Finding {
  const { mountPoint, type, source, device } = mount
  const id = 'type'
  const data = { mountPoint, type, source, device }
  const text = `It is ${type} (${source}), mounted at ${mountPoint}.`
  if (!isInMemory(mount)) return { id, state: 'ok', text, data }
  return {
    id,
    state: 'could be better',
    text: `${text} That is memory: there is no device to wait for, and direct I/O has no point.`,
    change: 'Keep files that are to last on a disk: df -hT shows which there are',
    data,
  }
}

function directIo({ folder }: Mount): Finding {
  const refusal = refusalOfDirect(folder)
  const id = 'direct-io'
  const data = { refusal }
  if (refusal === null) return { id, state: 'ok', text: 'It takes O_DIRECT.', data }
  const canNotWrite = ['EACCES', 'EROFS', 'EPERM', 'ERR_ACCESS_DENIED'].includes(refusal)
  return {
    id,
    state: 'could be better',
    text: canNotWrite
      ? `Whether it takes O_DIRECT is not known, as no file can be made there (${refusal}).`
      : `It refuses O_DIRECT (${refusal}): a DirectFile can only be had with fallback: 'buffered'.`,
    change: canNotWrite
      ? 'Run it in a folder that you can write to: cd /var/tmp && percore doctor'
      : 'Keep the files on ext4, xfs or btrfs, in a container on a volume: docker run -v /data:/data',
    data,
  }
}

/** The whole way once: a nameless file, a block written and read back, with direct I/O. */
async function roundTrip({ folder }: Mount): Promise<Finding> {
  const id = 'round-trip'
  try {
    const options = { read: true, write: true, tmpfile: true } as const
    await using file = await DirectFile.open(folder, options)
    using buffer = file.allocateBuffer(BLOCK_BYTES)
    buffer.bytes.fill(7)
    await file.write(buffer, 0)
    buffer.bytes.fill(0)
    await file.readInto(buffer, 0)
    if (buffer.bytes.some((byte) => byte !== 7)) throw new Error('other bytes were read')
    const { alignmentBytes } = file
    const text = `percore wrote and read back a block with direct I/O; positions and lengths must be multiples of ${formatBytes(alignmentBytes)}.`
    return { id, state: 'ok', text, data: { alignmentBytes } }
  } catch (error) {
    const isFull = error instanceof KernelError && ['ENOSPC', 'EDQUOT'].includes(error.code)
    return {
      id,
      state: 'could be better',
      text: `percore could not write and read back a block with direct I/O: ${String(error)}.`,
      change: isFull
        ? 'Free some space there, or run it in another folder: df -h shows what is left'
        : "Open files with fallback: 'buffered', or keep them on ext4, xfs or btrfs",
      data: { error: String(error) },
    }
  }
}

interface Disk {
  readonly name: string
  /** `major:minor` */
  readonly device: string
  /** What is on it. */
  readonly folder: string
}

/** Whether the I/O scheduler knows what the disk can do. */
export function deviceLimits(
  { name, device, folder }: Disk,
  properties: readonly DeviceProperties[],
): Finding {
  const id = 'limits'
  const known = properties.find((each) => each.device === device)
  const source = process.env[IO_PROPERTIES_VARIABLE] ?? null
  const data = { device, source, read: known?.read ?? null, write: known?.write ?? null }
  if (known !== undefined) {
    const [read, write] = [known.read, known.write].map(
      ({ bytesPerSecond, operationsPerSecond }) =>
        `${formatBytes(bytesPerSecond)}/s and ${Math.round(operationsPerSecond)} operations/s`,
    )
    const text = `${name} was measured: it reads ${read}, and writes ${write}; task queues share it by that.`
    return { id, state: 'ok', text, data }
  }
  const where = source ? `'${source}' does not name it` : `${IO_PROPERTIES_VARIABLE} is not set`
  return {
    id,
    state: 'could be better',
    text: `What ${name} (${device}) can do is not known, as ${where}: task queues that use it at once do not share it by their shares.`,
    change: `If they are to, measure it: npx percore iotune ${folder}`,
    data,
  }
}

interface DeviceFacts {
  readonly scheduler: string
  readonly requestCount: number
  readonly isRotational: boolean
  readonly isPolled: boolean
  readonly logicalBlockBytes: number
}

function deviceQueue(name: string, facts: DeviceFacts): Finding {
  const { scheduler, requestCount, isRotational, isPolled, logicalBlockBytes } = facts
  const id = 'queue'
  // Virtual disks say that they rotate unless their host says otherwise.
  const isVirtual = /^x?vd/.test(name)
  const data = { name, ...facts, isVirtual }
  const kind = isVirtual ? 'a virtual disk' : isRotational ? 'a rotating disk' : 'no rotating disk'
  const polling = isPolled
    ? 'completions can be polled for (io_poll)'
    : 'completions come by interrupt (io_poll 0)'
  const text = `${name} is ${kind}: scheduler ${scheduler}, ${requestCount} requests per queue, blocks of ${formatBytes(logicalBlockBytes)}; ${polling}.`
  if ((isRotational && !isVirtual) || scheduler === 'none' || scheduler === 'unknown') {
    return { id, state: 'ok', text, data }
  }
  return {
    id,
    state: 'could be better',
    text: `${text} A scheduler of the kernel's costs time per request, which fast devices do not pay back.`,
    change: `Try without, and measure: echo none | sudo tee /sys/block/${name}/queue/scheduler`,
    data,
  }
}
