import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { findExport } from '../../src/base/index.ts'

const PROGRAMS: readonly [string, string][] = [
  ['a module of ECMAScript', 'export default function main() {}; export function other() {}'],
  [
    'one that was compiled to CommonJS',
    'exports.__esModule = true; exports.default = function main() {}; exports.other = function other() {}',
  ],
  [
    'one whose names Node cannot tell',
    'const all = { default: function main() {} }; all.other = function other() {}; module.exports = all',
  ],
]

for (const [what, text] of PROGRAMS) {
  test(`findExport() finds functions of ${what}`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'percore-export-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const path = join(folder, text.startsWith('export ') ? 'module.mjs' : 'module.cjs')
    writeFileSync(path, text)
    const exports = (await import(pathToFileURL(path).href)) as Record<string, unknown>

    const found = ['default', 'other', 'missing', 'toString'].map((name) =>
      findExport(exports, name),
    )

    assert.equal((found[0] as { name: string }).name, 'main')
    assert.equal((found[1] as { name: string }).name, 'other')
    assert.deepEqual(found.slice(2), [undefined, undefined])
  })
}

test('findExport() finds a function that is all of a module, and gives back what is none', () => {
  const main = (): void => {}

  assert.equal(findExport({ default: main }, 'default'), main)
  assert.equal(findExport({ default: main }, 'other'), undefined)
  assert.equal(findExport({ default: { other: 1 }, other: 2 }, 'other'), 2)
  assert.deepEqual(findExport({ default: { other: 1 } }, 'default'), { other: 1 })
  assert.equal(findExport({ default: null }, 'default'), null)
})
