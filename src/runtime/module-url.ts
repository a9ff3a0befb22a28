import { isAbsolute } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isUrl, validateString } from '../base/index.ts'

/**
 * The URL of a module.
 *
 * @throws {TypeError} for anything but a URL and an absolute path.
 */
export function checkModule(action: string, module: unknown): string {
  if (isUrl(module)) return module.href
  validateString(action, 'module', module)
  if (isAbsolute(module)) return pathToFileURL(module).href
  if (/^(?:file|data|node):/.test(module)) return module
  // From where a relative one starts, nobody could tell: the caller's module, or the working directory.
  throw new TypeError(
    `Cannot ${action} as module must be a URL or an absolute path, such as new URL('./shard.js', import.meta.url): current value is ${JSON.stringify(module)}`,
  )
}
