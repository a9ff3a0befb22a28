/** `percore top`, beside real processes. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { styleOf } from '../../src/cli/style.ts'
import { findProcesses } from '../../src/cli/top/processes.ts'
import type { ExecutorActivity } from '../../src/cli/top/rates.ts'
import {
  clean,
  cut,
  formatExecutors,
  formatProcesses,
  formatSeconds,
} from '../../src/cli/top/tables.ts'
import { limited } from '../limits.ts'
import { commandLine, percore } from './support.ts'

const LIMIT = limited(90_000)
const PROGRAM = fileURLToPath(new URL('./top-program.js', import.meta.url))
const QUICK = ['--interval', '0.1']

/** A process that ends with the test at the latest: some of them take a processor for themselves. */
async function start(
  t: TestContext,
  ...words: string[]
): Promise<{ child: ChildProcess; pid: string }> {
  const child = spawn(process.execPath, [PROGRAM, ...words], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  t.after(async () => {
    child.kill('SIGKILL')
    await exited
  })
  await once(child.stdout!, 'data')
  return { child, pid: String(child.pid) }
}

interface Shown {
  readonly top: number
  readonly pid: number
  readonly seconds: number
  readonly executors: readonly ExecutorActivity[]
}

function showOnce(pid: string): Shown {
  const { stdout, stderr, status } = percore(['top', pid, '--once', '--json', ...QUICK])
  assert.deepEqual([stderr, status], ['', 0])
  return JSON.parse(stdout) as Shown
}

const canUnshare = spawnSync('unshare', ['-rpf', '--mount-proc', 'true']).status === 0

test('a process in another namespace of numbers that is killed has ended', {
  ...LIMIT,
  skip: canUnshare ? false : 'needs a namespace of numbers',
}, async (t) => {
  const name = `foreign ${process.pid}`
  const words = ['-rpf', '--mount-proc', '--kill-child', process.execPath, PROGRAM, 'serves', name]
  const child = spawn('unshare', words, { stdio: ['pipe', 'pipe', 'inherit'] })
  const closed = once(child, 'close')
  t.after(async () => {
    child.kill('SIGKILL')
    await closed
  })
  await once(child.stdout!, 'data')
  const found = findProcesses().filter(
    (seen) => seen.isForeign && seen.sample().executors.some((one) => one.name === name),
  )
  assert.equal(found.length, 1)
  assert.equal(found[0]!.hasEnded, false)

  child.kill('SIGKILL')
  await closed

  assert.equal(found[0]!.hasEnded, true)
  found[0]!.close()
})

test(
  'percore top --json shows what a process does, with rates of an interval',
  LIMIT,
  async (t) => {
    const { pid } = await start(t, 'serves', 'server')

    const shown = showOnce(pid)

    assert.deepEqual([shown.top, String(shown.pid)], [1, pid])
    assert.ok(shown.seconds >= 0.1)
    const [executor] = shown.executors
    assert.equal(executor!.name, 'server')
    assert.ok(executor!.rates.percore_timers_expired_total! > 0)
    assert.ok(executor!.rates.percore_busy_seconds_total! < 1)
    assert.ok(executor!.values.percore_io_memory_limit_bytes! > 0)
    const serving = executor!.queues.find(({ name }) => name === 'serving')!
    assert.equal(serving.values.percore_queue_shares, 300)
    assert.ok(serving.rates.percore_queue_settled_total! > 0)
  },
)

for (const [what, state, queue] of [
  ['hangs', 'turn', 'stuck'],
  ['hangsInNode', 'node', null],
] as const) {
  test(`percore top shows a process that ${what}, and where`, LIMIT, async (t) => {
    const { pid } = await start(t, what)

    const [executor] = showOnce(pid).executors

    assert.deepEqual([executor!.state, executor!.queue], [state, queue])
    assert.ok(executor!.heldSeconds >= 0.1)
    assert.ok(executor!.rates.percore_busy_seconds_total! > 0.99)
  })
}

test('percore top prints plain tables where the output is no terminal', LIMIT, async (t) => {
  const { pid } = await start(t, 'hangs')

  const { stdout, status } = percore(['top', pid, '--once', ...QUICK])

  assert.equal(status, 0)
  assert.equal(stdout.includes('\x1b'), false)
  assert.match(stdout, new RegExp(`^Process ${pid}, 1 executor, over .*top-program.js hangs\n`))
  assert.match(stdout, /^EXECUTOR +STATE +BUSY/m)
  assert.match(stdout, /^shown +in stuck [\d.]+s +100% /m)
  assert.match(stdout, /^QUEUE +OF +RUNS/m)
  assert.match(stdout, /^stuck +shown /m)
})

test('percore top has no line wider than COLUMNS', LIMIT, async (t) => {
  const { pid } = await start(t, 'serves')

  const { stdout } = percore(['top', pid, '--once', ...QUICK], { env: { COLUMNS: '40' } })

  assert.match(stdout, /^EXECUTOR +STATE/m)
  for (const line of stdout.split('\n')) assert.ok(line.length <= 40, line)
})

test(
  'percore top without a number lists all processes, each of which can be shown',
  LIMIT,
  async (t) => {
    const [first, second] = [await start(t, 'serves', 'one'), await start(t, 'serves', 'two')]

    const { stdout, status } = percore(['top'])
    const { processes } = JSON.parse(percore(['top', '--json']).stdout)

    assert.equal(status, 0)
    for (const [{ pid }, name] of [
      [first, 'one'],
      [second, 'two'],
    ] as const) {
      assert.match(stdout, new RegExp(`^ *${pid} +1 +\\d+% .*top-program.js serves ${name}$`, 'm'))
      assert.ok(processes.some((process: { pid: number }) => String(process.pid) === pid))
      assert.equal(showOnce(pid).executors[0]!.name, name)
    }
  },
)

test('percore top goes on until the process ends, which is no failure', LIMIT, async (t) => {
  const { child, pid } = await start(t, 'serves')
  const [program = '', ...words] = commandLine(['top', pid, ...QUICK])
  const shown = spawn(program, words)
  let stderr = ''
  shown.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  await once(shown.stdout, 'data')
  await once(shown.stdout, 'data')

  child.stdin!.end()

  const [status] = await once(shown, 'close')
  assert.deepEqual([status, stderr], [0, `Process ${pid} has ended\n`])
})

test('percore top says that a process was killed, too', LIMIT, async (t) => {
  const { child, pid } = await start(t, 'hangs')
  const [program = '', ...words] = commandLine(['top', pid, '--json', ...QUICK])
  const shown = spawn(program, words)
  await once(shown.stdout, 'data')

  child.kill('SIGKILL')

  const [status] = await once(shown, 'close')
  assert.equal(status, 0)
  const { stderr, status: again } = percore(['top', pid])
  assert.deepEqual(
    [stderr, again],
    [`Cannot show process ${pid} as it must be running: it is not\n`, 1],
  )
})

const hasScript = spawnSync('script', ['--version']).status === 0

test('percore top draws over a terminal, and leaves it as it was', {
  ...LIMIT,
  skip: hasScript ? false : 'needs script(1)',
}, async (t) => {
  const { child, pid } = await start(t, 'serves')
  const command = commandLine(['top', pid, ...QUICK])
  const quoted = command.map((word) => `'${word}'`).join(' ')
  const terminal = spawn('script', ['-qefc', quoted, '/dev/null'])
  let output = ''
  terminal.stdout.on('data', (chunk) => {
    output += chunk
    if (output.includes('QUEUE')) child.stdin!.end()
  })

  const [status] = await once(terminal, 'close')

  assert.equal(status, 0)
  assert.ok(output.startsWith('\x1b[?1049h'), JSON.stringify(output.slice(0, 40)))
  const left = output.slice(output.lastIndexOf('\x1b[?1049l'))
  assert.match(left, /has ended/)
})

test('percore top refuses what is no number, and intervals out of range, with code 2', () => {
  for (const args of [
    ['x'],
    ['0'],
    ['-1'],
    ['12', '34'],
    ['1', '--interval', '0'],
    ['1', '--interval='],
  ]) {
    const { stderr, stdout, status } = percore(['top', ...args])

    assert.match(stderr, /^Cannot run percore top: /)
    assert.deepEqual([stdout, status], ['', 2])
  }
})

test('percore top says why a process can not be shown, with code 1', () => {
  const { stderr, status } = percore(['top', String(process.pid)])

  assert.match(stderr, /^Cannot show process \d+ as it must have an executor/)
  assert.equal(status, 1)
})

const ANOTHER_USER = { uid: 65_534, gid: 65_534, cwd: '/' }

test('percore top shows nobody the process of another user', {
  ...LIMIT,
  skip: missingForAnotherUser() ?? false,
}, async (t) => {
  const { pid } = await start(t, 'serves')
  const [program = '', ...words] = commandLine(['top', pid, '--once'])

  const { stderr, status } = spawnSync(program, words, { encoding: 'utf8', ...ANOTHER_USER })

  assert.equal(
    stderr,
    `Cannot show process ${pid} as its user must be this one, or this one root: it is that of number 0\n`,
  )
  assert.equal(status, 1)
})

/** Why no command can be run as another user here: a Node in the home of this one is for its own eyes, say. */
function missingForAnotherUser(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root'
  const { error } = spawnSync(process.execPath, ['--version'], ANOTHER_USER)
  return error && `another user cannot run ${process.execPath}`
}

const plain = styleOf(process.stdout)
const activity: ExecutorActivity = {
  id: 1,
  name: 'a name that is longer than there is room for',
  state: 'sleeps',
  queue: null,
  heldSeconds: 0,
  values: {},
  rates: {},
  queues: [],
}

test('tables show names that can do no harm to a terminal', () => {
  assert.equal(clean('a\x1b[2J\u202eb\n'), 'a·[2J·b·')
  assert.equal(cut('four', 3), 'fo…')
  const values = new Proxy({}, { get: () => 12_345 })
  const lines = formatExecutors([{ ...activity, values, rates: values }], 70, plain)

  assert.match(lines[1]!, /^a name that is longer t… {2}sleeps {2}1234500%/)
  for (const line of lines) assert.ok(line.length <= 70)
})

test('tables are as wide in a terminal as they may be, whatever names are made of', () => {
  const values = new Proxy({}, { get: () => 0 })
  const row = { ...activity, state: 'runs', values, rates: values } as const
  const names = ['キュー', 'e\u0301le\u0301ments', '🚀 launch']
  const rows = names.map((name) => ({ ...row, name }))

  const lines = formatExecutors(rows, 40, plain).slice(1, 4)

  // The columns that a terminal gives them, of which two are those of each wide letter.
  assert.deepEqual(
    lines.map((line) => line.split('runs')[0]!),
    ['キュー     ', 'e\u0301le\u0301ments   ', '🚀 launch  '],
  )
  assert.equal(cut('キュー', 5), 'キュ…')
  assert.equal(cut('キュー', 4), 'キ…')
  assert.equal(cut('キュー', 6), 'キュー')
})

test('the list of processes shows as much of a command as has room', () => {
  const row = { pid: 7, executorCount: 2, busy: 1.5, command: 'node '.repeat(40) }

  const [, line] = formatProcesses([row], 40, plain)

  assert.equal(line!.length, 40)
  assert.match(line!, /^ {2}7 +2 +150% +node node .*…$/)
})

test('times are shown with as much as matters', () => {
  const texts = [0.26, 59.9, 61, 3700, 200_000].map(formatSeconds)

  assert.deepEqual(texts, ['0.3s', '59.9s', '1m1s', '1h1m', '2d'])
})
