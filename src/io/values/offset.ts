import { validateInteger } from '../../base/index.ts'

/** Positions and sizes stay exact numbers. */
export const FILE_BYTES_MAX: number = Number.MAX_SAFE_INTEGER

/** @throws {TypeError | RangeError} unless a whole number, with `lengthBytes` more still being one. */
export function validateOffset(
  action: string,
  offsetBytes: number,
  lengthBytes: number,
  name = 'offsetBytes',
): void {
  const max = FILE_BYTES_MAX - lengthBytes
  validateInteger(action, name, offsetBytes, { min: 0, max })
}
