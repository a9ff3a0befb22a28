/** What every thread loads is one file, from which the compiled files have their names: the same for whoever imports which. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { RuntimeError as OfErrors } from '../../src/base/errors.ts'
import { RuntimeError as OfBase } from '../../src/base/index.ts'
import { executor as ofCurrent } from '../../src/executor/current.ts'
import { Executor } from '../../src/executor/executor.ts'
import { Task } from '../../src/executor/task.ts'
import { TaskQueue } from '../../src/executor/task-queue.ts'
import { allocateBuffer, executor, RuntimeError } from '../../src/index.ts'

test('a class and the executor of a thread are the same whichever file they come from', () => {
  assert.deepEqual([OfErrors, OfBase], [RuntimeError, RuntimeError])
  assert.ok(executor() instanceof Executor && executor().defaultQueue instanceof TaskQueue)
  assert.equal(ofCurrent(), executor())
})

test('classes are named as they were written', () => {
  using lease = allocateBuffer(1)

  const instances = [executor(), executor().defaultQueue, lease]
  const names = instances.map((instance) => instance.constructor.name)

  assert.deepEqual(names, ['Executor', 'TaskQueue', 'Lease'])
  assert.deepEqual([RuntimeError.name, Task.name], ['RuntimeError', 'Task'])
})

const SOURCE_FOLDER = new URL('../../src/', import.meta.url)
const BUNDLES = readdirSync(SOURCE_FOLDER).filter((name) => {
  return existsSync(new URL(`${name}/bundle.js`, SOURCE_FOLDER))
})

test('what a thread loads is bundled', () => {
  for (const name of ['executor', 'channels', 'net', 'runtime']) assert.ok(BUNDLES.includes(name))
})

for (const name of BUNDLES) {
  test(`the bundle of ${name} has a source map that holds its sources`, () => {
    const url = new URL(`../../src/${name}/bundle.js.map`, import.meta.url)
    const map = JSON.parse(readFileSync(url, 'utf8')) as {
      sources: string[]
      sourcesContent: (string | null)[]
    }

    assert.ok(map.sources.some((source) => source.endsWith('.ts')))
    assert.ok(map.sourcesContent.every((content) => content !== null && content !== ''))
  })
}

test('nothing is in two bundles', () => {
  const placeOf = new Map<string, string>()

  for (const name of BUNDLES) {
    const text = readFileSync(new URL(`../../src/${name}/bundle.js`, import.meta.url), 'utf8')
    for (const [, path] of text.matchAll(/^\/\/ (dist\/src\/\S+)$/gm)) {
      assert.equal(placeOf.get(path!) ?? name, name, path)
      placeOf.set(path!, name)
    }
  }

  assert.ok(placeOf.size > 150)
})

test('a stack under --enable-source-maps names the sources', () => {
  const errors = new URL('../../src/sync/index.js', import.meta.url).href
  const text = `import { Semaphore } from ${JSON.stringify(errors)}; try { new Semaphore(-1) } catch (error) { console.log(error.stack) }`
  const flags = ['--enable-source-maps', '--input-type=module', '-e', text]
  const { stdout } = spawnSync(process.execPath, flags, { encoding: 'utf8' })

  assert.match(stdout, /src\/base\/validate\.ts:\d+/)
})

test('what a shard begins with is three files, and those of its program', () => {
  const text = readFileSync(new URL('../../src/runtime/worker-main.js', import.meta.url), 'utf8')
  const host = readFileSync(new URL('../../src/runtime/worker-host.js', import.meta.url), 'utf8')
  const bundle = readFileSync(new URL('../../src/executor/bundle.js', import.meta.url), 'utf8')

  assert.deepEqual(importsOf(text), ['./worker-host.js'])
  assert.deepEqual(importsOf(host), ['../executor/bundle.js'])
  assert.deepEqual(
    importsOf(bundle).filter((path) => path.startsWith('.')),
    [],
  )
})

function importsOf(text: string): string[] {
  return [...text.matchAll(/\bfrom ['"]([^'"]+)['"]/g)].map(([, path]) => path!)
}
