/**
 * Takes out of the compiled declarations what users cannot have, and the compiler leaves in.
 *
 * `stripInternal` removes members that are marked `@internal`. A class whose constructor it removes seems to
 * have one without arguments, and the bases of a class stay, with all that they have: here the
 * constructor becomes private, and the bases that are internal go.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { listFiles, ROOT, readText } from './project.mjs'

/** Classes and interfaces of the runtime's own that public classes have as bases. */
const INTERNAL_BASES = ['LiveTask', 'RunQueue', 'Schedulable', 'TaskInContext']

/** Rewrites the declarations of src/ below dist/. */
export function publishTypes() {
  const paths = listFiles('dist/src', '.d.ts')
  const texts = new Map(paths.map((path) => [path, readFileSync(join(ROOT, path), 'utf8')]))
  const bases = new Set([...texts.values()].flatMap(listBases))
  for (const [path, text] of texts) {
    const source = readText(path.replace(/^dist\//, '').replace(/\.d\.ts$/, '.ts'))
    const published = dropInternalBases(hideConstructors(text, source, bases))
    if (published !== text) writeFileSync(join(ROOT, path), published)
  }
}

function listBases(text) {
  return [...text.matchAll(/\bclass \w+(?:<[^{]*?>)? extends (\w+)/g)].map(([, base]) => base)
}

/** Declares the constructors that are internal: private, or protected where a class builds upon it. */
export function hideConstructors(text, source, bases) {
  let published = text
  for (const name of listHidden(source)) {
    const access = bases.has(name) ? 'protected' : 'private'
    const head = new RegExp(`^export declare (?:abstract )?class ${name}\\b[^\\n]*\\{\\n`, 'm')
    published = published.replace(head, (line) => `${line}    ${access} constructor();\n`)
  }
  return published
}

/** Classes whose constructor is marked `@internal`, without another that is documented for users. */
function listHidden(source) {
  const hidden = new Set()
  const open = new Set()
  let name = ''
  let comment = ''
  for (const line of source.split('\n')) {
    name = /^export (?:abstract )?class (\w+)/.exec(line)?.[1] ?? name
    if (/^ {2}(?:\/\*\*| \*)/.test(line)) comment = line.includes('/**') ? line : comment + line
    else if (line.startsWith('  constructor(')) {
      if (comment.includes('@internal')) hidden.add(name)
      else if (comment !== '') open.add(name)
      comment = ''
    } else comment = ''
  }
  return [...hidden].filter((name) => !open.has(name))
}

/** Removes internal bases, and the imports that only they needed. */
export function dropInternalBases(text) {
  const published = text.replace(/^export declare (?:abstract )?class [^\n]*\{$/gm, (head) => {
    const [, before, base, interfaces] =
      /^(.*?class \w+(?:<.*?>)?)(?: extends (.+?))?(?: implements (.+?))? \{$/.exec(head)
    const kept = (interfaces ?? '').split(', ').filter((word) => word && !isInternal(word))
    const extending = base === undefined || isInternal(base) ? '' : ` extends ${base}`
    const implementing = kept.length === 0 ? '' : ` implements ${kept.join(', ')}`
    return `${before}${extending}${implementing} {`
  })
  return published === text ? text : dropUnusedImports(published)
}

function isInternal(base) {
  return INTERNAL_BASES.includes(base.replace(/<.*/, ''))
}

function dropUnusedImports(text) {
  return text.replace(
    /^import (type )?\{ ([^}]*) \} from ([^\n]*)\n/gm,
    (line, type = '', names, from) => {
      const rest = text.replace(line, '')
      const used = names.split(', ').filter((name) => {
        const local = name.replace(/^type /, '').replace(/^.* as /, '')
        return new RegExp(`\\b${local}\\b`).test(rest)
      })
      return used.length === 0 ? '' : `import ${type}{ ${used.join(', ')} } from ${from}\n`
    },
  )
}
