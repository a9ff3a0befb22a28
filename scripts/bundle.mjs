/**
 * Puts what threads load into few files: what an executor and a shard are made of into one, and a folder each of what is used on top.
 *
 * A thread of a pool loads percore anew, and Node takes longer for its 130 files than for all else of a thread. The compiled files stay, each
 * with its names, but these come from the one file: so whichever of them a program or a test imports, it has the same
 * classes and the same state. Source maps lead to the TypeScript as before.
 */

import { rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { listFiles, Refusal, ROOT, runAsProgram } from './project.mjs'

/** What threads of their own begin with, and what is loaded by its place or waits as it is loaded: files of their own. */
const PROGRAMS = [
  'dist/src/executor/stall-capture.js',
  'dist/src/executor/stall-watchdog.js',
  'dist/src/runtime/worker-main.js',
  'dist/src/runtime/driver-main.js',
  'dist/src/runtime/port-server.js',
]
/** Of the runtime, what each of its shards begins with. */
const SHARD_FILES = [
  'loading',
  'long-timer',
  'run-shard',
  'service-loading',
  'shard-calls',
  'shard',
  'worker-host',
].map((name) => `dist/src/runtime/${name}.js`)

/**
 * The bundles. Each is as deep as what goes into it, which finds other files by its own place, and the first one beside the
 * program that it starts.
 */
const BUNDLES = [
  {
    path: 'dist/src/executor/bundle.js',
    folders: ['base', 'kernel', 'stats', 'memory', 'topology', 'ring', 'reactor', 'executor'],
    files: SHARD_FILES,
  },
  { path: 'dist/src/channels/bundle.js', folders: ['channels'], files: [] },
  { path: 'dist/src/streams/bundle.js', folders: ['streams'], files: [] },
  { path: 'dist/src/net/bundle.js', folders: ['net'], files: [] },
  { path: 'dist/src/runtime/bundle.js', folders: ['runtime'], files: [] },
]

/** Bundles what the compiler has written; leaves all as it is where esbuild is not installed. */
export function bundle() {
  const esbuild = findEsbuild()
  if (esbuild === null) return
  const left = BUNDLES.map(({ path }) => path).concat(PROGRAMS)
  const parts = BUNDLES.map(({ path, folders, files }) => {
    const found = folders.flatMap((folder) => listFiles(`dist/src/${folder}`, '.js'))
    const own = [...files, ...found.filter((file) => !left.includes(file))]
    left.push(...own)
    return { path, own, names: listExports(esbuild, own) }
  })
  const bundled = parts.map((part) => bundleOne(esbuild, part))
  for (const [number, { text, map, locals }] of bundled.entries()) {
    const { path, names } = parts[number]
    writeFileSync(join(ROOT, path), text)
    writeFileSync(join(ROOT, `${path}.map`), map)
    let index = 0
    for (const [file, list] of names) {
      const pairs = list.map((name) => [locals.get(exportName(index, name)), name])
      writeFileSync(join(ROOT, file), forward(pathFrom(dirname(file), path), pairs))
      rmSync(join(ROOT, `${file}.map`), { force: true })
      index++
    }
  }
}

function findEsbuild() {
  try {
    return createRequire(import.meta.url)('esbuild')
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return null
    throw error
  }
}

function bundleOne(esbuild, { path, own, names }) {
  const folder = dirname(path)
  const entry = [...names].map(([file, list], index) => {
    const exported = list.map((name) => `${name} as ${exportName(index, name)}`)
    return `export { ${exported.join(', ')} } from '${pathFrom(folder, file)}'`
  })
  // Whatever is in two bundles would be there twice.
  const others = listFiles('dist/src', '.js').filter((file) => !own.includes(file))
  const { outputFiles } = esbuild.buildSync({
    stdin: { contents: entry.join('\n'), resolveDir: join(ROOT, folder) },
    outfile: join(ROOT, path),
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    target: 'es2023',
    external: others.map((file) => join(ROOT, file)),
    // All of it: none of the files is there for its effects alone, but nothing is to rely on that.
    ignoreAnnotations: true,
    sourcemap: true,
    legalComments: 'none',
    logLevel: 'warning',
  })
  const find = (end) => outputFiles.find((output) => output.path.endsWith(end)).text
  return { ...exportOnce(restoreClassNames(find('.js'))), map: find('.js.map') }
}

/** The names that each file exports; files of types alone have none, and are left out. */
function listExports(esbuild, paths) {
  const { metafile } = esbuild.buildSync({
    entryPoints: paths.map((path) => join(ROOT, path)),
    absWorkingDir: ROOT,
    outdir: join(ROOT, 'dist/src'),
    outbase: join(ROOT, 'dist/src'),
    // Only then `export *` is looked into.
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    write: false,
    metafile: true,
  })
  const names = new Map()
  for (const { entryPoint, exports } of Object.values(metafile.outputs)) {
    if (entryPoint !== undefined && exports.length > 0) names.set(entryPoint, exports)
  }
  return names
}

function exportName(index, name) {
  return `f${index}_${name}`
}

/** A file that has its names from the bundle. */
function forward(bundle, pairs) {
  const lines = pairs.map(([local, name]) => (local === name ? name : `${local} as ${name}`))
  return `export {\n${lines.map((line) => `  ${line},\n`).join('')}} from '${bundle}'\n`
}

function pathFrom(folder, path) {
  const from = relative(folder, path)
  return from.startsWith('.') ? from : `./${from}`
}

/**
 * Has a bundle export what it has once, under the name that it has there, whichever files export it: each name costs a thread 5 us. `locals` are these
 * names, by those that were exported. What it exports stands last, so that source maps hold.
 */
export function exportOnce(text) {
  const start = text.lastIndexOf('\nexport {\n')
  const end = text.indexOf('\n};', start)
  if (start < 0 || end < 0) throw new Refusal('Cannot bundle as a bundle must end with its exports')
  const lines = text.slice(start, end).split('\n').slice(2)
  const locals = new Map()
  for (const line of lines) {
    const [, local, name = local] = /^ {2}([\w$]+)(?: as ([\w$]+))?,?$/.exec(line) ?? []
    if (local === undefined) throw new Refusal(`Cannot bundle as an export is not a name: ${line}`)
    locals.set(name, local)
  }
  const names = [...new Set(locals.values())].map((name) => `\n  ${name}`)
  return { text: `${text.slice(0, start)}\nexport {${names.join(',')}${text.slice(end)}`, locals }
}

/**
 * Gives classes the names they were written with: `var Task = class _Task` is what is made of a class that refers to
 * itself, and its name is shown to users.
 */
export function restoreClassNames(text) {
  const found = [...text.matchAll(/^var (\w+) = class _(\w+)\b/gm)]
  let restored = text
  for (const [line, outer, inner] of found) {
    if (outer !== inner) throw new Refusal(`Cannot bundle as a class must keep its name: ${line}`)
    // As long as before, so that the columns of source maps hold.
    restored = restored.replaceAll(new RegExp(`\\b_${inner}\\b`, 'g'), `${inner} `)
  }
  return restored
}

await runAsProgram(import.meta.url, bundle)
