/**
 * Writes docs/api.txt: every name that the package exports, with what its declarations say of it.
 *
 * A change of the interface is a change of that file, for a reviewer to see. Without `--write` it only tells
 * whether the file is right, and whether a declaration names a type that no door exports.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { ROOT, readManifest, readText, runAsProgram } from './project.mjs'

const SNAPSHOT = 'docs/api.txt'
/** Types that a declaration may name though no door exports them: the port that kernel drivers implement. */
const HIDDEN_ALLOWED = [
  'Directory',
  'Kernel',
  'KernelMemory',
  'LoopControl',
  'LoopHost',
  'RingMemory',
  'RingSetup',
]

function main(args) {
  const { text, hidden } = describeApi()
  for (const line of hidden) console.error(line)
  if (args.includes('--write')) {
    writeFileSync(join(ROOT, SNAPSHOT), text)
  } else if (!existsSync(join(ROOT, SNAPSHOT)) || readText(SNAPSHOT) !== text) {
    console.error(`${SNAPSHOT} is not what the package exports; run: node scripts/api.mjs --write`)
    return 1
  }
  return hidden.length > 0 ? 1 : 0
}

/** The interface as text, and a line for each type in it that a user cannot name. */
export function describeApi() {
  const manifest = readManifest()
  const doors = Object.entries(manifest.exports)
    .filter(([, target]) => typeof target === 'object')
    .map(([door, { types }]) => ({
      door: door.replace(/^\./, manifest.name),
      file: types.slice(2),
    }))
  const exported = doors.map(({ door, file }) => ({ door, names: listExports(file) }))
  const known = new Set(exported.flatMap(({ names }) => names.map(({ key }) => key)))
  const shown = new Map()
  const hidden = new Set()
  const sections = exported.map(({ door, names }) => {
    const entries = names
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .flatMap((name) => describeExport(name, { door, shown, known, hidden }))
    return [`# ${door}`, '', ...entries].join('\n')
  })
  return { text: `${sections.join('\n')}`, hidden: [...hidden].sort() }
}

function describeExport({ name, key, file, local }, { door, shown, known, hidden }) {
  const first = shown.get(key)
  if (first !== undefined) return [`${name}: as in ${first}`, '']
  shown.set(key, door)
  const module = readModule(file)
  const declarations = module.declarations.get(local) ?? []
  const lines = declarations.flatMap((declaration) => {
    for (const used of listTypes(declaration, module, file)) {
      const [, word] = used.split('#')
      if (known.has(used) || HIDDEN_ALLOWED.includes(word)) continue
      hidden.add(`${door}: ${name} names ${word} of ${used.split('#')[0]}, which no door exports`)
    }
    return formatDeclaration(declaration)
  })
  return [...lines, '']
}

/** What a module exports: the name, and where it is declared. */
function listExports(file) {
  const module = readModule(file)
  const own = [...module.exported].map((name) => ({
    name,
    local: name,
    file,
    key: `${file}#${name}`,
  }))
  const others = module.reexports.map(({ name, source, sourceName }) => {
    const found = listExports(source).find((entry) => entry.name === sourceName)
    if (found === undefined) throw new Error(`${file} exports ${name}, which ${source} has not`)
    return { ...found, name }
  })
  return [...own, ...others]
}

/** Types of this package that a declaration names, as `file#name`; those of its module are looked into. */
function listTypes(declaration, module, file, seen = new Set()) {
  const words = new Set(declaration.match(/\b[A-Z]\w*\b/g))
  return [...words].flatMap((word) => {
    const source = module.imports.get(word)
    if (source !== undefined) {
      const found = listExports(source.file).find(({ name }) => name === source.name)
      return found === undefined ? [] : [found.key]
    }
    const inner = module.declarations.get(word)
    if (inner === undefined || seen.has(word)) return []
    seen.add(word)
    if (module.exported.has(word)) return [`${file}#${word}`]
    return inner.flatMap((text) => listTypes(text, module, file, seen))
  })
}

const modules = new Map()

function readModule(file) {
  let module = modules.get(file)
  if (module === undefined) {
    module = parseModule(file, stripComments(readFileSync(join(ROOT, file), 'utf8')))
    modules.set(file, module)
  }
  return module
}

function parseModule(file, text) {
  const module = { declarations: new Map(), exported: new Set(), imports: new Map(), reexports: [] }
  for (const statement of listStatements(text)) {
    const from = /^(import|export)\s+(?:type\s+)?\{([^}]*)\}\s*from\s*['"](\.[^'"]+)['"]/.exec(
      statement,
    )
    if (from) {
      const source = posix.join(posix.dirname(file), from[3].replace(/\.(?:js|ts)$/, '.d.ts'))
      for (const part of from[2]
        .split(',')
        .map((word) => word.trim())
        .filter(Boolean)) {
        const [sourceName, name = sourceName] = part.replace(/^type\s+/, '').split(/\s+as\s+/)
        if (from[1] === 'import') module.imports.set(name, { file: source, name: sourceName })
        else module.reexports.push({ name, source, sourceName })
      }
      continue
    }
    const named =
      /^(export\s+)?(?:declare\s+)?(?:abstract\s+)?(?:class|interface|function|type|const)\s+(\w+)/.exec(
        statement,
      )
    if (!named) continue
    const [, isExported, name] = named
    module.declarations.set(name, [...(module.declarations.get(name) ?? []), statement])
    if (isExported) module.exported.add(name)
  }
  return module
}

function stripComments(text) {
  return text.replace(/\/\*[\s\S]*?\*\/|^\/\/.*$/gm, '')
}

/** Statements of a declaration file: each begins at the start of a line, and what belongs to it is indented. */
function listStatements(text) {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  const statements = []
  for (const line of lines) {
    if (/^[\s})]/.test(line) && statements.length > 0) statements[statements.length - 1].push(line)
    else statements.push([line])
  }
  return statements.map((group) => group.join('\n'))
}

function formatDeclaration(declaration) {
  const words = declaration.replace(/^export\s+/, '').replace(/^declare\s+/, '')
  return words
    .split('\n')
    .filter((line) => line.trim() !== '#private;')
    .map((line) => line.replace(/^ {4}/, '  ').replace(/;$/, ''))
}

await runAsProgram(import.meta.url, main)
