import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { nextDueMs, PERIOD_MS, percentile, remainingMs } from '../../src/cli/tour/measures.ts'
import { choosePlace, createFile, PlaceError } from '../../src/cli/tour/place.ts'
import { formatFigure, ratioOf, type Step } from '../../src/cli/tour/report.ts'
import { EPERM } from '../../src/kernel/index.ts'
import { CpuSet } from '../../src/topology/index.ts'
import { buildRefuser, commandLine, makeFolder, needsCompiler, percore } from './support.ts'

interface Document {
  readonly canRun: boolean
  readonly isQuick: boolean
  readonly file: { readonly folder: string; readonly type: string }
  readonly doctor: readonly { readonly id: string }[]
  readonly steps: readonly Step[]
}

test('tour --quick --json has every step, with figures, and removes its file', (t) => {
  const folder = makeFolder(t)

  const { stdout, stderr, status } = percore(['tour', '--quick', '--json', '--dir', folder])

  assert.equal(status, 0, stderr)
  const document = JSON.parse(stdout) as Document
  assert.equal(document.canRun, true)
  assert.equal(document.isQuick, true)
  assert.ok(document.doctor.length > 0)
  assert.deepEqual(
    document.steps.map(({ id }) => id),
    ['files', 'sockets', 'shares', 'latency', ...(CpuSet.allowed().size < 2 ? [] : ['cores'])],
  )
  for (const row of document.steps.flatMap(({ rows }) => rows)) {
    assert.ok(Number.isFinite(row.percore) && row.percore >= 0, row.what)
    assert.ok(row.node === null || Number.isFinite(row.node), row.what)
  }
  assert.deepEqual(readdirSync(folder), [])
})

test('tour prints plain lines of at most 100 columns when nothing is a terminal', (t) => {
  const { stdout, stderr, status } = percore(['tour', '--quick', '--dir', makeFolder(t)])

  assert.equal(status, 0, stderr)
  assert.equal(`${stdout}${stderr}`.includes('\x1b'), false)
  for (const line of stdout.split('\n')) assert.ok(line.length <= 100, line)
  assert.match(stderr, /^Writing /m)
})

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGQUIT', 131],
] as const) {
  test(`tour removes its file when it gets ${signal}`, async (t) => {
    const folder = makeFolder(t)
    const [program = '', ...args] = commandLine(['tour', '--dir', folder])
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    const exited = once(child, 'exit')
    for await (const line of createInterface(child.stderr)) {
      if (line.startsWith('Writing')) break
    }

    child.kill(signal)

    assert.deepEqual(await exited, [code, null])
    assert.deepEqual(readdirSync(folder), [])
  })
}

test('tour says which side was killed, and removes its file', async (t) => {
  const folder = makeFolder(t)
  const [program = '', ...args] = commandLine(['tour', '--dir', folder])
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = once(child, 'exit')
  let written = ''
  for await (const line of createInterface(child.stderr)) {
    written += `${line} `
    // It has nothing to do yet: percore's side is measured first.
    if (line.startsWith('Writing')) killChild(child.pid!, 'node-side')
  }

  assert.deepEqual(await exited, [1, null])
  assert.match(written, /Cannot finish the tour: the node side of the tour ended early: SIGKILL/)
  assert.deepEqual(readdirSync(folder), [])
})

test('tours on one volume do not take each other for themselves, whatever their numbers', (t) => {
  const folder = makeFolder(t)

  const first = choosePlace(folder, 1)
  const remove = createFile(first)
  const second = choosePlace(folder, 1)

  assert.notEqual(first.path, second.path)
  assert.throws(() => createFile(first), PlaceError)
  assert.equal(existsSync(first.path), true)
  remove()
  assert.equal(existsSync(first.path), false)
})

test('tour goes on through the page cache, with a note, where direct I/O is refused', (t) => {
  const folder = mountRamfs(t)
  if (folder === null) return t.skip('needs root, and ramfs')

  const { stdout, stderr, status } = percore(['tour', '--quick', '--json', '--dir', folder])

  assert.equal(status, 0, stderr)
  const [files] = (JSON.parse(stdout) as Document).steps
  assert.match(files?.description ?? '', /buffered I\/O/)
  assert.equal(files?.notes.length, 1)
})

test('tour exits with 1 and says why where io_uring is refused', needsCompiler(), (t) => {
  const folder = makeFolder(t)
  const refuser = buildRefuser(folder)
  const data = join(folder, 'data')
  mkdirSync(data)

  const { stdout, stderr, status } = percore(['tour', '--quick', '--dir', data], {
    wrapper: [refuser, String(EPERM)],
  })

  assert.equal(status, 1)
  assert.equal(stdout, '')
  assert.match(stderr, /^Cannot run percore here\. io_uring is refused \(EPERM\)/m)
  assert.deepEqual(readdirSync(data), [])
})

test('tour refuses what is no folder with code 2', (t) => {
  const folder = makeFolder(t)
  const file = join(folder, 'file')
  writeFileSync(file, '', { mode: 0o755 })

  for (const path of [join(folder, 'none'), file, '/proc']) {
    const { stderr, status } = percore(['tour', '--quick', '--dir', path])

    assert.equal(status, 2)
    assert.match(stderr, /^Cannot (write|make) the file of the tour/m)
  }
})

test('remainingMs() is never negative', () => {
  assert.equal(remainingMs(100, 99.5), 0.5)
  assert.equal(remainingMs(100, 100.5), 0)
})

test('nextDueMs() skips periods that were missed', () => {
  assert.equal(nextDueMs(100, 100), 100 + PERIOD_MS)
  assert.equal(nextDueMs(100, 100 + 3.5 * PERIOD_MS), 100 + 4 * PERIOD_MS)
})

test('percentile() takes the sample below which the fraction lies', () => {
  const samples = Array.from({ length: 100 }, (_, index) => 99 - index)

  assert.equal(percentile(samples, 0.5), 50)
  assert.equal(percentile(samples, 0.99), 99)
})

test('ratioOf() is null without a peer', () => {
  const row = { what: 'x', unit: 'us', better: 'less', percore: 2 } as const

  assert.equal(ratioOf({ ...row, node: null }), null)
  assert.equal(ratioOf({ ...row, node: 4 }), 0.5)
})

test('formatFigure() keeps three digits that mean something', () => {
  assert.equal(formatFigure(123_456.7, 'reads/s'), '123,457 reads/s')
  assert.equal(formatFigure(2, ': 1'), '2.00 : 1')
  assert.equal(formatFigure(0.05678, 'ms'), '0.0568 ms')
})

/** Kills the child of `parent` that runs `script`. */
function killChild(parent: number, script: string): void {
  const read = (pid: string, name: string): string => readFileSync(`/proc/${pid}/${name}`, 'utf8')
  for (const pid of readdirSync('/proc')) {
    try {
      const isChild = new RegExp(`^PPid:\\s${parent}$`, 'm').test(read(pid, 'status'))
      if (isChild && read(pid, 'cmdline').includes(script)) process.kill(Number(pid), 'SIGKILL')
    } catch {
      // No process, or one that has just ended.
    }
  }
}

/** A file system in memory that has no direct I/O. */
function mountRamfs(t: TestContext): string | null {
  const folder = mkdtempSync(join(tmpdir(), 'percore-cli-'))
  t.after(() => {
    spawnSync('umount', ['--lazy', folder])
    rmdirSync(folder)
  })
  return spawnSync('mount', ['-t', 'ramfs', 'ramfs', folder]).status === 0 ? folder : null
}
