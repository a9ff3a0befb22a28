/**
 * Checks the structure that no compiler checks: layers, doors, circles, sizes, forbidden names.
 *
 * `node scripts/tidy.mjs --draw` prints the layers as docs/ARCHITECTURE.md has them.
 */
import { existsSync } from 'node:fs'
import { join, posix } from 'node:path'
import { findCircles } from './circles.mjs'
import { drawLayers, findLayer, LAYERS, PARTS } from './layers.mjs'
import { capture, listFiles, ROOT, readText, runAsProgram } from './project.mjs'
import { lineAt, listImports, maskSource } from './source.mjs'

export { LAYERS }

const LINES_MAX = 500
const SIZED = /^(src|native|scripts|bench|test)\//
/** Folders above `kernel` that may use the world as it is: they are where it comes in. */
const WORLDLY = ['cli', 'testing', 'node']
/** The first layer that sees the world only through the Kernel it was given. */
const FIRST_SIMULATED_LAYER = 2
/** Files excused from the check of the world, each with the reason: `'src/x/y.ts': 'why'`. */
export const WORLD_ALLOWED = {
  'src/testing/virtual-globals.ts':
    'it puts the clock and the random numbers of a simulation in the place of the real ones',
  'src/executor/stall-watchdog.ts':
    'it watches a thread from outside: a real clock, and standard error without that thread',
}

const WORLD_MODULE = /^(?:node:)?(?:fs|net|os)(?:\/.*)?$/
const WORLD_NAME =
  /\b(?:process\s*\.\s*hrtime|performance\s*\.\s*now|Date\s*\.\s*now|Math\s*\.\s*random)\b/g
const ADDON = /\bcreateRequire\b|\bprocess\s*\.\s*dlopen\b/g
const BANNED_IN_SOURCE = [
  [/(?<![.\w$])enum\s+[\w$]+\s*\{/g, 'enum is not used here: write a const object or a union'],
  [/(?<![.\w$])(?:namespace|module)\s+[\w$.]+\s*\{/g, 'namespace is not used here: a file is one'],
  [/\bexport\s+default\b|\bas\s+default\b/g, 'export default is not used here: export a name'],
]
const ONLY = /\.\s*only\s*\(|\bonly\s*:\s*true\b/g
const BINARY = /\.(?:png|jpe?g|gif|ico|woff2?|gz|tgz|node|bin|wasm|pdf)$/
const MACHINE_PATH = /(?<![\w.)}\]*/$~-])\/(?:home|Users|root|work)\/[\w.-]+/g
const REGISTRY =
  /https?:\/\/[\w.@:-]*\b(?:registry|artifactory|nexus|verdaccio)\b[\w.-]*|\bregistry\.(?:npmjs|yarnpkg|npmmirror)\b|"resolved": "https?:|^(?:@[\w-]+:)?registry\s*=/gm

/** All findings for `path → text`, as `file:line: sentence`, sorted by file. */
export function findProblems(files) {
  return [
    ...[...files].flatMap(([path, text]) => checkFile(path, text)),
    ...findCircles(files).map(({ path, line, message }) => `${path}:${line}: ${message}`),
  ]
}

function checkFile(path, text) {
  const found = [...checkText(path, text)]
  if (/^(src|test|bench)\/.*\.ts$/.test(path)) {
    const code = maskSource(text)
    if (path.startsWith('src/')) found.push(...checkSource(path, text, code))
    if (isTest(path)) found.push(...matches(code, ONLY, 'a test left with only hides all others'))
  }
  if (path === 'docs/ARCHITECTURE.md') found.push(...checkDrawing(text))
  return found
    .sort((a, b) => a.index - b.index)
    .map(({ index, message }) => `${path}:${lineAt(text, index)}: ${message}`)
}

function* checkText(path, text) {
  const lineCount = text.split('\n').length - (text.endsWith('\n') ? 1 : 0)
  if (SIZED.test(path) && lineCount > LINES_MAX) {
    yield { index: text.length - 1, message: `${lineCount} lines, and ${LINES_MAX} are the limit` }
  }
  yield* matches(text, MACHINE_PATH, 'a path of one machine does not belong in the repository')
  yield* matches(text, REGISTRY, 'a registry does not belong in the repository')
}

function* checkSource(path, text, code) {
  const folder = folderOf(path)
  const layer = findLayer(folder)
  if (path !== 'src/index.ts' && layer < 0) {
    yield {
      index: 0,
      message: `${folder || 'a file directly in src'} is not in LAYERS of scripts/layers.mjs`,
    }
  }
  for (const [pattern, message] of BANNED_IN_SOURCE) yield* matches(code, pattern, message)
  const imports = listImports(text, code)
  for (const { specifier, index } of imports) {
    const message = judgeImport(path, specifier)
    if (message) yield { index, message }
  }
  if (folder !== 'kernel') yield* checkAddon(text, code, imports)
  if (layer < FIRST_SIMULATED_LAYER || WORLDLY.includes(folder) || WORLD_ALLOWED[path]) return
  for (const { specifier, index } of imports) {
    if (WORLD_MODULE.test(specifier))
      yield { index, message: `${folder} may not import ${specifier}: ask the Kernel` }
  }
  for (const match of code.matchAll(WORLD_NAME)) {
    yield { index: match.index, message: `${folder} may not use ${match[0]}: ask the Kernel` }
  }
}

function* checkAddon(text, code, imports) {
  const message = 'only kernel may load the native addon'
  yield* matches(code, ADDON, message)
  // The masked source shows where strings stand, the text what they say.
  for (const { index } of code.matchAll(/(['"`]) *\1/g)) {
    if (/^(['"`])[^'"`\n]*\.node\1/.test(text.slice(index))) yield { index, message }
  }
  for (const { specifier, index } of imports) {
    if (specifier === 'node:module') yield { index, message }
  }
}

/** What is wrong with one import, or nothing. */
function judgeImport(path, specifier) {
  const folder = folderOf(path)
  if (/^percore(\/|$)/.test(specifier))
    return 'src may not import the package by its name: import a door'
  if (!specifier.startsWith('.')) return undefined
  const target = posix.join(posix.dirname(path), specifier)
  if (!target.startsWith('src/'))
    return `${folder || 'src'} may not import ${target}: it is outside src`
  const other = folderOf(target)
  if (other === folder && folder !== '') return judgePart(folder, path, target)
  if (other === '') return `${folder || 'src'} may not import ${target}: it is no door of a folder`
  if (target !== `src/${other}/index.ts`)
    return `import the door src/${other}/index.ts, not ${target}`
  if (path === 'src/index.ts') return undefined
  const isLower = findLayer(other) < findLayer(folder)
  const isStranger = findLayer(other) === findLayer(folder)
  if (isLower || (isStranger && isTest(path))) return undefined
  return `${folder} may not import ${other}`
}

/** The same within a folder that has parts. */
function judgePart(folder, path, target) {
  const parts = PARTS[folder]
  if (parts === undefined) return undefined
  const [part, other] = [path, target].map((file) => partOf(folder, file))
  for (const name of [part, other]) {
    if (name !== '' && !parts.includes(name))
      return `${folder}/${name} is not in PARTS of scripts/layers.mjs`
  }
  if (part === '' || (other !== '' && parts.indexOf(other) <= parts.indexOf(part))) return undefined
  return `${folder}/${part} may not import ${target}`
}

function checkDrawing(text) {
  const drawing = /<!-- layers -->\n([\s\S]*?)<!-- \/layers -->/.exec(text)
  if (drawing?.[1].trim() === drawLayers()) return []
  const message =
    'the table between <!-- layers --> and <!-- /layers --> must be what `node scripts/tidy.mjs --draw` prints'
  return [{ index: drawing?.index ?? 0, message }]
}

function matches(text, pattern, message) {
  return [...text.matchAll(pattern)].map(({ index }) => ({ index, message }))
}

/** Folder directly below src/ that holds a path; '' for a file of src/ itself. */
function folderOf(path) {
  return /^src\/([^/]+)\//.exec(path)?.[1] ?? ''
}

/** Folder directly below src/<folder>/ that holds a path; '' for a file of that folder itself. */
function partOf(folder, path) {
  const [part, ...rest] = path.slice(`src/${folder}/`.length).split('/')
  return rest.length === 0 ? '' : part
}

function isTest(path) {
  return path.endsWith('.test.ts') || path.startsWith('test/')
}

/** Text files that git has or would take; all of the project's folders where there is no git. */
function listTextFiles() {
  const git = capture('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'])
  const folders = ['src', 'native', 'scripts', 'bench', 'test', 'docs', 'examples', '.ci']
  const paths =
    git.status === 0 ? git.stdout.split('\0') : folders.flatMap((folder) => listFiles(folder))
  return [...new Set(paths)].filter(
    (path) => path && !BINARY.test(path) && existsSync(join(ROOT, path)),
  )
}

function findStaleExcuses(files) {
  return Object.keys(WORLD_ALLOWED)
    .filter((path) => !files.has(path))
    .map((path) => `scripts/tidy.mjs: WORLD_ALLOWED excuses ${path}, which is gone`)
}

function main(args) {
  if (args.includes('--draw')) {
    console.log(drawLayers())
    return 0
  }
  const files = new Map(listTextFiles().map((path) => [path, readText(path)]))
  const problems = [...findProblems(files), ...findStaleExcuses(files)]
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) {
    console.error(`tidy: ${problems.length} to fix in ${files.size} files`)
    return 1
  }
  const sourceCount = [...files.keys()].filter((path) => path.startsWith('src/')).length
  console.log(
    `tidy: layers, doors, circles and names of ${sourceCount} files in src, sizes and paths of ${files.size} files`,
  )
  return 0
}

await runAsProgram(import.meta.url, main)
