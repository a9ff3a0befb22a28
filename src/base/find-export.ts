/**
 * The function that a module exports by that name, of what `import()` gave; what has the name instead, or undefined.
 *
 * A module of CommonJS has its exports one level deeper where Node can't tell their names, and its default export if it was compiled
 * from one of ECMAScript.
 */
export function findExport(exports: Record<string, unknown>, name: string): unknown {
  const found = Object.hasOwn(exports, name) ? exports[name] : undefined
  if (typeof found === 'function') return found
  const inner = exports.default
  if ((typeof inner !== 'object' && typeof inner !== 'function') || inner === null) return found
  const deeper = Object.hasOwn(inner, name) ? (inner as Record<string, unknown>)[name] : undefined
  return typeof deeper === 'function' || found === undefined ? deeper : found
}
