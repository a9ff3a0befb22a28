import { RuntimeError } from '../../base/index.ts'
import { checkIoProperties, type DeviceProperties } from '../../executor/index.ts'

/** A device as it is saved: what an executor needs, and what a reader wants to know. */
export interface SavedDevice extends DeviceProperties {
  readonly name: string
  /** Where it was measured, and when. */
  readonly folder: string
  readonly measuredAt: string
}

/**
 * The text of a file of properties with `device` in it, in place of an older one.
 *
 * @throws {RuntimeError} `ERR_PROPERTIES_INVALID` where the old text is no such file: it stays as it is.
 */
export function mergeProperties(before: string | null, device: SavedDevice, path: string): string {
  const others = (before === null ? [] : devicesOf(before, path)).filter(
    (other) => other.device !== device.device,
  )
  return `${JSON.stringify({ version: 1, devices: [...others, device] }, null, 2)}\n`
}

function devicesOf(text: string, path: string): DeviceProperties[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new RuntimeError(
      'ERR_PROPERTIES_INVALID',
      `Cannot add to '${path}' as it must be JSON: ${(cause as Error).message}`,
      { cause },
    )
  }
  checkIoProperties(value, path)
  // As they are, with what only people read.
  return (value as { devices: DeviceProperties[] }).devices
}
