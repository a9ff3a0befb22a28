import { createRequire } from 'node:module'
import { RuntimeError } from '../base/index.ts'

/**
 * Loads, at once, a module of a package that users install beside percore if they want what it does.
 *
 * @throws {RuntimeError} `ERR_PACKAGE_MISSING`, naming what is for it and how to install it.
 */
export function loadOptional(action: string, name: string, path: string = name): unknown {
  try {
    return createRequire(import.meta.url)(path)
  } catch (cause) {
    throw new RuntimeError(
      'ERR_PACKAGE_MISSING',
      `Cannot ${action} as the package ${name} must be installed beside percore: npm install ${name}`,
      { cause },
    )
  }
}
