/** What every script here needs: where the project is, which files it has, how to run a program. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Absolute path of the repository. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '')

/** A failure that is explained by its message: no stack is printed. */
export class Refusal extends Error {}

/** Runs `main` when `moduleUrl` is the program being run, and turns its failure into an exit code. */
export async function runAsProgram(moduleUrl, main) {
  if (process.argv[1] !== fileURLToPath(moduleUrl)) return
  try {
    process.exitCode = (await main(process.argv.slice(2))) ?? 0
  } catch (error) {
    console.error(error instanceof Refusal ? error.message : error)
    process.exitCode = 1
  }
}

/** Every file under a folder of the repository, as sorted paths from its root; none if it is missing. */
export function listFiles(folder, suffix = '') {
  const start = join(ROOT, folder)
  if (!existsSync(start)) return []
  return readdirSync(start, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(suffix))
    .map((entry) => relative(ROOT, join(entry.parentPath ?? entry.path, entry.name)))
    .sort()
}

/** Text of a file of the repository. */
export function readText(path) {
  return readFileSync(join(ROOT, path), 'utf8')
}

/** Parsed `package.json`. */
export function readManifest() {
  return JSON.parse(readText('package.json'))
}

/** Time of the last change of a path in milliseconds, 0 if it does not exist. */
export function changedMs(path) {
  return statSync(join(ROOT, path), { throwIfNoEntry: false })?.mtimeMs ?? 0
}

/** Absolute path of a program that an installed package brings; undefined if it is not installed. */
export function packageProgram(packageName, programName) {
  const manifestPath = join(ROOT, 'node_modules', packageName, 'package.json')
  if (!existsSync(manifestPath)) return undefined
  const { bin } = JSON.parse(readFileSync(manifestPath, 'utf8'))
  return join(manifestPath, '..', typeof bin === 'string' ? bin : bin[programName])
}

/** Runs a program in the repository with our own terminal, and returns its exit code. */
export function run(program, args, options = {}) {
  const result = spawnSync(program, args, { cwd: ROOT, stdio: 'inherit', ...options })
  if (result.error) throw new Refusal(`Cannot run ${program}: ${result.error.message}`)
  return result.status ?? 1
}

/** Runs a program in the repository and returns its exit code and all that it printed. */
export function capture(program, args, options = {}) {
  const result = spawnSync(program, args, {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    ...options,
  })
  return { ...result, output: `${result.stdout ?? ''}${result.stderr ?? ''}` }
}

/** Runs a JavaScript file with this Node. */
export function runNode(args, options) {
  return run(process.execPath, args, options)
}
