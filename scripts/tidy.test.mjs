/** Each rule of tidy fires on what it forbids, and on nothing else. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { drawLayers } from './layers.mjs'
import { maskSource } from './source.mjs'
import { findProblems } from './tidy.mjs'

const MACHINE = ['', 'home', 'someone', 'x'].join('/')
const REGISTRY = `https:${['//registry', 'npmjs', 'org/x'].join('.')}`

/** `[path, source, expected part of the finding at line 2]`; no expectation means no finding. */
const CASES = [
  ['src/ring/sqe.ts', `import { a } from '../base/index.ts'`],
  ['src/ring/sqe.ts', `import { a } from './ops/read.ts'`],
  ['src/ring/ops/read.ts', `import { a } from '../sqe.ts'`],
  ['src/ring/ops/read.ts', `import { a } from '../../kernel/index.ts'`],
  ['src/ring/sqe.ts', `import { a } from '../sync/index.ts'`, 'ring may not import sync'],
  ['src/ring/sqe.ts', `import type { A } from '../sync/index.ts'`, 'ring may not import sync'],
  ['src/ring/sqe.ts', `export * from '../sync/index.ts'`, 'ring may not import sync'],
  ['src/ring/sqe.ts', `const a = await import('../sync/index.ts')`, 'ring may not import sync'],
  ['src/ring/sqe.ts', `type A = import('../sync/index.ts').A`, 'ring may not import sync'],
  ['src/ring/sqe.ts', `import '../sync/index.ts'`, 'ring may not import sync'],
  [
    'src/ring/sqe.ts',
    `import {\n  a,\n} from '../base/assert.ts'`,
    'import the door src/base/index.ts',
  ],
  ['src/io/file.ts', `import { a } from '../net/index.ts'`, 'io may not import net'],
  ['src/io/file.test.ts', `import { a } from '../net/index.ts'`],
  ['src/io/file.test.ts', `import { a } from '../net/tcp.ts'`, 'import the door src/net/index.ts'],
  ['src/io/file.test.ts', `import { a } from '../runtime/index.ts'`, 'io may not import runtime'],
  ['src/io/file.ts', `import { a } from '../../test/contract.ts'`, 'outside src'],
  ['src/io/file.ts', `import { a } from '../index.ts'`, 'no door of a folder'],
  ['src/io/file.ts', `import { a } from 'percore/sync'`, 'by its name'],
  ['src/io/names/a.ts', `import { a } from '../values/path.ts'`],
  ['src/io/names/a.ts', `import { a } from './name.ts'`],
  ['src/io/file.ts', `import { a } from './bulk/read-many.ts'`],
  ['src/io/values/a.ts', `import { a } from '../names/name.ts'`, 'io/values may not import'],
  ['src/io/names/a.ts', `import { a } from '../direct-file.ts'`, 'io/names may not import'],
  ['src/io/others/a.ts', `import { a } from '../values/path.ts'`, 'io/others is not in PARTS'],
  ['src/index.ts', `export * from './cli/index.ts'`],
  ['src/index.ts', `export * from './sync/gate.ts'`, 'import the door src/sync/index.ts'],
  ['src/other/a.ts', ``, 'other is not in LAYERS'],
  ['src/a.ts', ``, 'a file directly in src is not in LAYERS'],
  ['src/ring/a.ts', `import { createRequire } from 'node:module'`, 'only kernel may load'],
  ['src/ring/a.ts', `load('../../prebuilds/percore.node')`, 'only kernel may load'],
  ['src/ring/a.ts', `process.dlopen(module, file)`, 'only kernel may load'],
  ['src/kernel/a.ts', `import { createRequire } from 'node:module'`],
  [
    'src/ring/a.ts',
    `import { open } from 'node:fs/promises'`,
    'ring may not import node:fs/promises',
  ],
  ['src/io/a.ts', `import { connect } from 'node:net'`, 'io may not import node:net'],
  ['src/topology/a.ts', `import os from 'os'`, 'topology may not import os'],
  ['src/time/a.ts', `Date.now()`, 'time may not use Date.now'],
  ['src/time/a.ts', `const a = \`\${performance.now()}\``, 'time may not use performance.now'],
  ['src/time/a.ts', `process.hrtime.bigint()`, 'time may not use process.hrtime'],
  ['src/time/a.ts', `Math.random()`, 'time may not use Math.random'],
  ['src/time/a.ts', `// Date.now() is not used\nconst a = 'Math.random' + /Date.now/.source`],
  ['src/kernel/a.ts', `import fs from 'node:fs'; Date.now()`],
  ['src/cli/a.ts', `import fs from 'node:fs'; Date.now()`],
  ['src/testing/a.ts', `Math.random()`],
  ['src/node/a.ts', `import net from 'node:net'`],
  ['src/base/a.ts', `export enum Color { red }`, 'enum is not used here'],
  ['src/base/a.ts', `declare namespace A { }`, 'namespace is not used here'],
  ['src/base/a.ts', `export default 1`, 'export default is not used here'],
  ['src/base/a.ts', `export { a as default }`, 'export default is not used here'],
  ['src/base/a.ts', `const a = { enum: 1, namespace: 2 } // enum A { }`],
  ['src/base/a.test.ts', `test.only('x', f)`, 'hides all others'],
  ['test/sim/a.test.ts', `test('x', { only: true }, f)`, 'hides all others'],
  ['test/sim/a.test.ts', `test('.only(', f)`],
  ['docs/a.md', `see ${MACHINE}`, 'a path of one machine'],
  ['docs/a.md', `see ./work/list and /proc/self/fd`],
  ['package-lock.json', `"resolved": "${REGISTRY}"`, 'a registry does not belong'],
  ['.npmrc', ['registry', 'x'].join('='), 'a registry does not belong'],
  ['src/stats/registry.ts', `import { a } from './registry.data.ts'`],
]

for (const [path, source, expected] of CASES) {
  test(`tidy ${expected ? 'refuses' : 'accepts'} ${path}: ${source.split('\n')[0]}`, () => {
    const problems = findProblems(new Map([[path, `${source}\n`]]))

    if (!expected) assert.deepEqual(problems, [])
    else
      assert.ok(
        problems.some((problem) => problem.includes(expected)),
        problems.join('\n'),
      )
  })
}

test('tidy names the file and the line', () => {
  const text = `/* one\n two */\n\nimport { a } from '../sync/index.ts'\n`

  const problems = findProblems(new Map([['src/ring/sqe.ts', text]]))

  assert.deepEqual(problems, ['src/ring/sqe.ts:4: ring may not import sync'])
})

test('tidy refuses the 501st line', () => {
  for (const folder of ['src/base', 'native', 'scripts', 'bench', 'test']) {
    const path = `${folder}/a.${folder === 'native' ? 'c' : 'ts'}`

    assert.deepEqual(findProblems(new Map([[path, '\n'.repeat(500)]])), [])
    assert.equal(findProblems(new Map([[path, '\n'.repeat(501)]])).length, 1)
  }
})

/** `[finding or none, ...[file, source]]`; a finding stands at the line of the import that closes it. */
const CIRCLES = [
  [
    'src/sync/b.ts:1: imports in a circle: b.ts → a.ts → b.ts',
    ['a', `import './b.ts'`],
    ['b', `import './a.ts'`],
  ],
  [
    'src/sync/b.ts:1: imports in a circle: b.ts → a.ts → b.ts',
    ['a', `import type { B } from './b.ts'`],
    ['b', `export type { A } from './a.ts'`],
  ],
  [
    'src/sync/c.ts:1: imports in a circle: c.ts → a.ts → b.ts → c.ts',
    ['a', `import './b.ts'`],
    ['b', `import './c.ts'`],
    ['c', `type A = import('./a.ts').A`],
  ],
  [
    'src/sync/ops/b.ts:1: imports in a circle: ops/b.ts → a.ts → ops/b.ts',
    ['a', `import './ops/b.ts'`],
    ['ops/b', `import '../a.ts'`],
  ],
  [
    'src/sync/index.ts:1: imports in a circle: index.ts → a.ts → index.ts',
    ['a', `import './index.ts'`],
    ['index', `export * from './a.ts'`],
  ],
  [null, ['a', `import './b.ts'; import './c.ts'`], ['b', `import './c.ts'`], ['c', `let x`]],
  [null, ['a', `// import './b.ts'`], ['b', `import './a.ts'`]],
]

for (const [expected, ...sources] of CIRCLES) {
  test(`tidy ${expected ? 'refuses' : 'accepts'} ${sources.map(([, text]) => text).join(' | ')}`, () => {
    const files = new Map(sources.map(([name, text]) => [`src/sync/${name}.ts`, `${text}\n`]))

    assert.deepEqual(findProblems(files), expected ? [expected] : [])
  })
}

test('tidy wants the drawn layers in ARCHITECTURE.md', () => {
  const check = (text) => findProblems(new Map([['docs/ARCHITECTURE.md', text]])).length

  assert.equal(check(`<!-- layers -->\n\n${drawLayers()}\n\n<!-- /layers -->\n`), 0)
  assert.equal(check(`<!-- layers -->\n| old |\n<!-- /layers -->\n`), 1)
  assert.equal(check('no table\n'), 1)
})

test('maskSource() keeps length and lines, and sees through templates and regular expressions', () => {
  const source = `a = \`x \${ f({ b: \`y\` }) } z\` // c\nd = e / 2 / g; h = /["'\`]/.test(i) ? "j" : 'k\\'l'`

  const code = maskSource(source)

  assert.equal(code.length, source.length)
  assert.equal(
    code.replace(/ +/g, ' '),
    `a = \` \${ f({ b: \` \` }) } \` \nd = e / 2 / g; h = .test(i) ? " " : ' '`,
  )
})
