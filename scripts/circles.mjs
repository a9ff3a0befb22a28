/** Finds files of src/ that import each other in circles; an import of types makes one as well. */
import { posix } from 'node:path'
import { lineAt, listImports, maskSource } from './source.mjs'

/**
 * One finding for each import that closes a circle, `{ path, line, message }`.
 *
 * What is found does not depend on the order of `files` (`path → text`). Linear in files and imports.
 */
export function findCircles(files) {
  const graph = new Map()
  for (const path of [...files.keys()].sort()) {
    if (/^src\/.*\.ts$/.test(path)) graph.set(path, listTargets(path, files))
  }
  const found = []
  // Files that lie on the way from the first one to the one that is looked at, and where.
  const depths = new Map()
  const done = new Set()
  for (const start of graph.keys()) visit(start, [])
  return found

  function visit(path, way) {
    if (done.has(path)) return
    depths.set(path, way.length)
    const here = [...way, path]
    for (const { target, line } of graph.get(path)) {
      if (!graph.has(target)) continue
      const depth = depths.get(target)
      if (depth === undefined) visit(target, here)
      else found.push({ path, line, message: describe(path, here.slice(depth)) })
    }
    depths.delete(path)
    done.add(path)
  }
}

function listTargets(path, files) {
  const text = files.get(path)
  return listImports(text, maskSource(text))
    .filter(({ specifier }) => specifier.startsWith('.'))
    .map(({ specifier, index }) => ({
      target: posix.join(posix.dirname(path), specifier),
      line: lineAt(text, index),
    }))
}

/** `circle` ends with the file whose import leads back to its first one. */
function describe(path, circle) {
  const folder = /^src\/[^/]+\//.exec(path)?.[0] ?? 'src/'
  const names = [path, ...circle].map((file) => posix.relative(folder, file))
  return `imports in a circle: ${names.join(' → ')}`
}
