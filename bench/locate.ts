/** Finds the repository, the compiled scripts and the installed tools. */

import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))

/**
 * The repository's root: the nearest folder upwards whose package is percore.
 *
 * Sought from the compiled file and then from the working directory, since a build may go to an
 * `outDir` outside the repository; the C sources are only in the repository.
 *
 * @throws {Error} if neither is inside the repository.
 */
export function findRoot(): string {
  for (const start of [here, process.cwd()]) {
    for (let folder = start; ; folder = dirname(folder)) {
      if (isRoot(folder)) return folder
      if (folder === dirname(folder)) break
    }
  }
  throw new Error('Cannot find the sources of percore: run inside its repository')
}

function isRoot(folder: string): boolean {
  const path = join(folder, 'package.json')
  if (!existsSync(path)) return false
  const manifest: unknown = JSON.parse(readFileSync(path, 'utf8'))
  return (
    typeof manifest === 'object' &&
    manifest !== null &&
    'name' in manifest &&
    manifest.name === 'percore'
  )
}

/** The path of a script of this folder, `percore/nop` say, as compiled beside this file. */
export function scriptPath(name: string): string {
  return join(here, name + (import.meta.url.endsWith('.ts') ? '.ts' : '.js'))
}

/** The path of a program, or `undefined` if it is not installed. */
export function findTool(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
