/**
 * Compiles native/ into prebuilds/ and TypeScript into dist/.
 *
 * npm runs it as `prepare`, hence before anything is compiled and with only Node at hand.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { bundle } from './bundle.mjs'
import {
  capture,
  changedMs,
  listFiles,
  packageProgram,
  Refusal,
  ROOT,
  run,
  runAsProgram,
} from './project.mjs'
import { publishTypes } from './types.mjs'

/** Written when a build has succeeded; its time says what the build has seen. */
const STAMP = 'dist/.built'
const ARCHITECTURES = ['x64', 'arm64']
const C_FLAGS = [
  '-std=c11',
  '-O2',
  '-fPIC',
  '-shared',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-fvisibility=hidden',
  '-D_GNU_SOURCE',
  '-DNAPI_VERSION=8',
  // Counts of the process are to outlive the last thread that uses it.
  '-Wl,-z,nodelete',
]

/** Whether dist/ or the native addon is older than what they are made from. */
function isBuildNeeded() {
  const builtMs = changedMs(STAMP)
  const folders = ['src', 'test', 'bench', 'examples', 'native']
  const files = folders.flatMap((folder) => listFiles(folder))
  // A removed file shows only in the time of its folder.
  const parents = new Set(files.map(dirname))
  const inputs = [...files, ...parents, 'tsconfig.json', 'package.json']
  return builtMs === 0 || inputs.some((path) => changedMs(path) > builtMs)
}

/** Builds where something has changed since; returns the exit code. */
export function buildIfNeeded() {
  return isBuildNeeded() ? build() : 0
}

/** Builds everything; returns the exit code. */
function build() {
  const startedAt = new Date()
  buildNative()
  const compiler = packageProgram('typescript', 'tsc')
  if (!compiler) return explainMissingCompiler()
  const exitCode = buildTypeScript(compiler)
  if (exitCode === 0) {
    // The time of the start, so that a file changed meanwhile is newer than the build.
    mkdirSync(join(ROOT, dirname(STAMP)), { recursive: true })
    writeFileSync(join(ROOT, STAMP), '')
    utimesSync(join(ROOT, STAMP), startedAt, startedAt)
  }
  return exitCode
}

function buildNative() {
  if (process.platform !== 'linux' || !ARCHITECTURES.includes(process.arch)) {
    const platform = `${process.platform}-${process.arch}`
    console.warn(
      `Cannot build the native part of percore on ${platform}: it needs Linux on x64 or arm64; ` +
        'the TypeScript is built without it, so imports and the simulated kernel work',
    )
    return
  }
  const target = `prebuilds/linux-${process.arch}/percore.node`
  const units = listFiles('native', '.c')
  const inputs = [...listFiles('native'), 'scripts/build.mjs']
  if (units.length === 0 || inputs.every((path) => changedMs(path) < changedMs(target))) return

  // A running process may have the old file mapped: it keeps that one, and never sees half a file.
  const temporary = `${target}.${process.pid}.tmp`
  mkdirSync(join(ROOT, dirname(target)), { recursive: true })
  try {
    compile(units, temporary)
    renameSync(join(ROOT, temporary), join(ROOT, target))
  } finally {
    rmSync(join(ROOT, temporary), { force: true })
  }
  console.log(`Compiled native/ into ${target}`)
}

function compile(units, output) {
  const compiler = process.env.CC?.trim() || 'cc'
  // CC may bring arguments of its own, as in `ccache gcc`.
  const [program, ...words] = compiler.split(/\s+/)
  const args = [...words, ...C_FLAGS, '-I', findNodeApiHeaders(), '-o', output, ...units]
  const result = capture(program, args)
  if (result.error?.code === 'ENOENT') {
    const cure = process.env.CC
      ? `install ${program} or unset CC`
      : 'run: apt-get install gcc (or set CC)'
    const missing = process.env.CC ? `the C compiler ${program} of CC` : 'no C compiler'
    throw new Refusal(
      `Cannot build percore: ${missing} was ${process.env.CC ? 'not ' : ''}found; ${cure}`,
    )
  }
  if (result.status !== 0) {
    throw new Refusal(
      `${result.output}Cannot build percore: ${compiler} failed on native/, see above`,
    )
  }
  process.stderr.write(result.output)
}

function findNodeApiHeaders() {
  const folders = [
    join(ROOT, 'node_modules/node-api-headers/include'),
    join(dirname(process.execPath), '../include/node'),
  ]
  const folder = folders.find((path) => existsSync(join(path, 'node_api.h')))
  if (folder) return folder
  throw new Refusal(
    'Cannot build percore: node_api.h was not found; run: npm install --include=dev',
  )
}

/** Someone who installs a checkout without its devDependencies can still use what was built before. */
function explainMissingCompiler() {
  const isBuilt = existsSync(join(ROOT, 'dist/src/index.js'))
  const state = isBuilt ? 'dist is used as it is' : 'and there is no dist to use instead'
  console.error(
    `Cannot compile TypeScript: typescript is not installed, ${state}; run: npm install --include=dev`,
  )
  return isBuilt ? 0 : 1
}

function buildTypeScript(compiler) {
  // Tests have examples compiled.
  const sources = ['src', 'test', 'bench', 'examples'].flatMap((folder) => listFiles(folder, '.ts'))
  if (sources.length === 0) {
    console.log('Nothing to compile: src/, test/ and bench/ hold no TypeScript')
    return 0
  }
  const exitCode = run(process.execPath, [compiler, '-p', 'tsconfig.json'])
  removeStale(new Set(sources))
  if (exitCode === 0) {
    publishTypes()
    bundle()
  }
  const program = join(ROOT, 'dist/src/cli/main.js')
  if (existsSync(program)) chmodSync(program, 0o755)
  return exitCode
}

/** Removes what was compiled from files that are gone: a deleted test would go on passing. */
function removeStale(sources) {
  for (const path of listFiles('dist')) {
    const compiled = /^dist\/(.+?)(?:\.js\.map|\.d\.ts|\.js)$/.exec(path)
    if (compiled && !sources.has(`${compiled[1]}.ts`)) removeWithEmptyParents(path)
  }
}

function removeWithEmptyParents(path) {
  rmSync(join(ROOT, path))
  try {
    for (let folder = dirname(path); folder !== 'dist'; folder = dirname(folder))
      rmdirSync(join(ROOT, folder))
  } catch (error) {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
  }
}

await runAsProgram(import.meta.url, build)
