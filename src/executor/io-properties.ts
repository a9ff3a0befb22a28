import { RuntimeError, validateString } from '../base/index.ts'
import { ENOENT, type Kernel, kernelError } from '../kernel/index.ts'

/** What a device does at the most, in one direction. */
export interface DirectionProperties {
  /** With requests of 1 MiB, several at a time. */
  readonly bytesPerSecond: number
  /** With requests of 4 KiB, many at a time. */
  readonly operationsPerSecond: number
}

/** What a device does at the most, as `percore iotune` has measured it. */
export interface DeviceProperties {
  /** Its numbers, as in `/sys/dev/block`: `259:0`. */
  readonly device: string
  readonly read: DirectionProperties
  readonly write: DirectionProperties
}

/** The file that `percore iotune` saves, as JSON. */
export interface IoProperties {
  readonly version: 1
  readonly devices: readonly DeviceProperties[]
}

/** Names that file where no option does. */
export const IO_PROPERTIES_VARIABLE = 'PERCORE_IO_PROPERTIES'
const RATE_MIN = 1
const RATE_MAX = 1e15

/**
 * The properties of devices that an executor is given: by its option, a path or what is in such a file, else by the
 * environment variable `PERCORE_IO_PROPERTIES`; none without. Reads a file, which blocks.
 *
 * @throws {KernelError} as `open(2)`; {@link RuntimeError} `ERR_PROPERTIES_INVALID`; TypeError for an option of the wrong kind.
 */
export function loadIoProperties(
  kernel: Kernel,
  option: string | IoProperties | undefined,
): readonly DeviceProperties[] {
  const variable = kernel.name === 'sim' ? undefined : process.env[IO_PROPERTIES_VARIABLE]
  const given = option ?? (variable === '' ? undefined : variable)
  if (given === undefined) return []
  if (typeof given === 'object' && given !== null) return checkIoProperties(given, 'ioProperties')
  validateString('attach an executor', 'ioProperties', given)
  const text = kernel.readTextFile(given)
  if (typeof text === 'number') {
    const errno = text < 0 ? text : -ENOENT
    throw kernelError(errno, { syscall: 'open', path: given })
  }
  return checkIoProperties(parse(text, given), given)
}

function parse(text: string, source: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw invalid(source, 'be JSON', (cause as Error).message, cause)
  }
}

/**
 * What is in such a file.
 *
 * @throws {RuntimeError} `ERR_PROPERTIES_INVALID`, which says where it is wrong.
 */
export function checkIoProperties(value: unknown, source: string): readonly DeviceProperties[] {
  const { version, devices } = fieldsOf(value, source, 'the whole')
  if (version !== 1) throw invalid(source, 'have version 1', show(version))
  if (!Array.isArray(devices)) throw invalid(source, 'have a list of devices', show(devices))
  const known = new Set<string>()
  return devices.map((each, index) => {
    const where = `devices[${index}]`
    const fields = fieldsOf(each, source, where)
    const { device } = fields
    if (typeof device !== 'string' || !/^\d+:\d+$/.test(device)) {
      throw invalid(source, `name ${where}.device as 'major:minor'`, show(device))
    }
    if (known.has(device)) throw invalid(source, 'name a device once', device)
    known.add(device)
    const read = directionOf(fields.read, source, `${where}.read`)
    return { device, read, write: directionOf(fields.write, source, `${where}.write`) }
  })
}

function directionOf(value: unknown, source: string, where: string): DirectionProperties {
  const { bytesPerSecond, operationsPerSecond } = fieldsOf(value, source, where)
  return {
    bytesPerSecond: rateOf(bytesPerSecond, source, `${where}.bytesPerSecond`),
    operationsPerSecond: rateOf(operationsPerSecond, source, `${where}.operationsPerSecond`),
  }
}

function rateOf(value: unknown, source: string, where: string): number {
  if (typeof value === 'number' && value >= RATE_MIN && value <= RATE_MAX) return value
  throw invalid(source, `have a number from ${RATE_MIN} to ${RATE_MAX} as ${where}`, show(value))
}

function fieldsOf(value: unknown, source: string, where: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>
  }
  throw invalid(source, `have an object as ${where}`, show(value))
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? String(value)
}

function invalid(source: string, must: string, found: string, cause?: unknown): RuntimeError {
  return new RuntimeError(
    'ERR_PROPERTIES_INVALID',
    `Cannot use the properties of devices in '${source}' as they must ${must}: found ${found}; percore iotune writes such a file`,
    cause === undefined ? undefined : { cause },
  )
}
