import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exportOnce, restoreClassNames } from './bundle.mjs'

test('restoreClassNames() gives a class that refers to itself its name, in as many columns', () => {
  const text = 'var Task = class _Task extends Promise {\n  static { show(_Task, _Tasks) }\n};\n'

  const restored = restoreClassNames(text)

  assert.equal(
    restored,
    'var Task = class Task  extends Promise {\n  static { show(Task , _Tasks) }\n};\n',
  )
})

test('restoreClassNames() refuses a class that would have another name', () => {
  assert.throws(() => restoreClassNames('var Task2 = class _Task {\n};\n'), /must keep its name/)
})

test('exportOnce() has each export once, and says by which name', () => {
  const text = 'var a = 1;\nexport {\n  a as f0_a,\n  b2 as f0_b,\n  a as f1_a,\n  c\n};\n//# map\n'

  const { text: once, locals } = exportOnce(text)

  assert.equal(once, 'var a = 1;\nexport {\n  a,\n  b2,\n  c\n};\n//# map\n')
  assert.deepEqual(Object.fromEntries(locals), { f0_a: 'a', f0_b: 'b2', f1_a: 'a', c: 'c' })
})

test('exportOnce() refuses what does not end with exports by name', () => {
  assert.throws(() => exportOnce('var a = 1;\n'), /must end with its exports/)
  assert.throws(() => exportOnce('\nexport {\n  a as "b c"\n};\n'), /is not a name/)
})
