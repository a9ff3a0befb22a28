import { readFileSync } from 'node:fs'

/** The version of the package that this file belongs to. */
export function readVersion(): string {
  // From dist/src/cli to the root of the package.
  const url = new URL('../../../package.json', import.meta.url)
  const manifest: unknown = JSON.parse(readFileSync(url, 'utf8'))
  const hasVersion = typeof manifest === 'object' && manifest !== null && 'version' in manifest
  return hasVersion ? String(manifest.version) : 'unknown'
}
