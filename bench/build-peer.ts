/** Compiles the C peers when they are needed: the package itself never carries them. */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { findRoot, findTool } from './locate.ts'

const FLAGS = ['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror', '-D_GNU_SOURCE', '-pthread']

/** Why C peers cannot take part, or `undefined` if they can. */
export function missingCompiler(): string | undefined {
  return findTool('cc') === undefined ? 'cc is not installed' : undefined
}

/**
 * Compiles `bench/peers/<name>.c` into `build/peers/` and returns the program's path.
 *
 * Blocking. Does nothing if the program is newer than its source and every header.
 *
 * @throws {Error} with the compiler's words if it does not compile.
 */
export function buildPeer(name: string): string {
  const root = findRoot()
  const sources = join(root, 'bench/peers')
  const source = join(sources, `${name}.c`)
  const program = join(root, 'build/peers', name)
  const headers = readdirSync(sources).filter((file) => file.endsWith('.h'))
  const inputs = [source, ...headers.map((file) => join(sources, file))]
  if (isUpToDate(program, inputs)) return program

  mkdirSync(join(root, 'build/peers'), { recursive: true })
  // Renamed into place, since two harnesses may build at once.
  const partial = `${program}.${process.pid}`
  const result = spawnSync('cc', [...FLAGS, '-o', partial, source], { encoding: 'utf8' })
  if (result.error !== undefined) throw result.error
  if (result.status !== 0) throw new Error(`Cannot compile ${source}:\n${result.stderr}`)
  renameSync(partial, program)
  return program
}

function isUpToDate(program: string, inputs: readonly string[]): boolean {
  if (!existsSync(program)) return false
  const builtMs = statSync(program).mtimeMs
  return inputs.every((input) => statSync(input).mtimeMs < builtMs)
}
