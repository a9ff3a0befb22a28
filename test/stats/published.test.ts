/** The file by which other processes of the same user see what this one counts. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { SeenProcess } from '../../src/cli/top/processes.ts'
import { takeSamples } from '../../src/executor/index.ts'
import { createSlot, DIRECTORY_LAYOUT, viewSlot } from '../../src/kernel/directory.ts'
import {
  clearPublished,
  DIRECTORY_VERSION,
  listPublished,
  PublishedDirectory,
} from '../../src/kernel/index.ts'
import * as control from '../../src/kernel/loop-control.ts'
import { COUNTERS, QUEUE_COUNTERS } from '../../src/stats/index.ts'
import { runChild, success } from '../hazards/child.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(60_000)
const FILE_BYTES = 1024 * 16_384
const folder = mkdtempSync(join(tmpdir(), 'percore-published-'))
after(() => rmSync(folder, { recursive: true }))

/** In a child: the paths that it has published. */
const OWN = `
  import { listPublished, PublishedDirectory } from ${JSON.stringify(new URL('../../src/kernel/index.js', import.meta.url).href)}
  import * as fs from 'node:fs'
  const own = () => listPublished().filter((path) => path.startsWith('/dev/shm/percore-' + process.pid + '-'))
`

/** Where each child has a /dev/shm of its own, mounted with these options. */
function inside(mount: string): string[] {
  return ['unshare', '-rm', 'sh', '-c', `${mount} && exec "$@"`, 'sh']
}

const canMount = spawnSync('unshare', ['-rm', 'sh', '-c', tmpfs('size=1m')]).status === 0
const NEEDS_MOUNT = { ...LIMIT, skip: canMount ? false : 'needs a mount namespace' }

function tmpfs(options: string): string {
  return `mount -t tmpfs -o ${options} tmpfs /dev/shm`
}

test('an executor publishes its counters for its user alone, until the process exits', async () => {
  const program = `${OWN}
    percore.attachExecutor({ name: 'seen' })
    await percore.spawn(() => {})
    const [path] = own()
    const stats = fs.statSync(path)
    const directory = new PublishedDirectory(path)
    directory.refresh()
    console.log(path, (stats.mode & 0o777).toString(8), stats.uid === process.getuid(), directory.pid === process.pid, directory.isForeign, directory.hasEnded, directory.usedCount)
  `

  const { output, errors, code } = await runChild(program)

  assert.deepEqual([errors, code], ['', 0])
  const [path, ...rest] = output.trim().split(' ')
  assert.deepEqual(rest, ['600', 'true', 'true', 'false', 'false', '2'])
  assert.equal(existsSync(path!), false)
})

for (const [how, end] of [
  ['process.exit()', 'process.exit(3)'],
  ['an uncaught error', 'setTimeout(() => { throw new Error() })'],
]) {
  test(`a process that ends by ${how} leaves no file`, async () => {
    const { output } = await runChild(`${OWN}
      percore.executor()
      console.log(own()[0])
      ${end}`)

    assert.match(output, /^\/dev\/shm\/percore-/)
    assert.equal(existsSync(output.trim()), false)
  })
}

/** A process with an executor that goes on until it is killed. */
async function startForever(): Promise<{ child: ChildProcess; path: string }> {
  const index = JSON.stringify(new URL('../../src/index.js', import.meta.url).href)
  const source = `${OWN}
    import { attachExecutor, spawn } from ${index}
    attachExecutor({ name: 'forever' })
    await spawn(() => {})
    process.stdin.resume().on('end', () => process.exit())
    console.log(own()[0])`
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const [line] = await new Promise<Buffer[]>((resolve) => {
    child.stdout!.once('data', (chunk: Buffer) => resolve([chunk]))
  })
  return { child, path: String(line).trim() }
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => child.once('close', () => resolve()))
}

test(
  'another process reads names and counters; what was killed is removed by whoever comes next',
  LIMIT,
  async () => {
    const living = await startForever()
    const killed = await startForever()
    const directory = new PublishedDirectory(killed.path)
    directory.refresh()
    const [sample] = takeSamples(directory, () => 0)
    assert.deepEqual([sample!.name, sample!.counters[0]], ['forever', 1])
    assert.equal(directory.hasEnded, false)

    const end = ended(killed.child)
    killed.child.kill('SIGKILL')
    await end

    assert.equal(directory.hasEnded, true)
    assert.ok(existsSync(killed.path))
    const next = await startForever()
    assert.equal(existsSync(killed.path), false)
    assert.equal(existsSync(living.path), true)
    directory.refresh()
    assert.equal(directory.hasEnded, true)
    directory.close()
    for (const { child } of [living, next]) {
      const gone = ended(child)
      child.stdin!.end()
      await gone
    }
    assert.deepEqual([existsSync(living.path), existsSync(next.path)], [false, false])
  },
)

test('PERCORE_METRICS_FILE=off publishes nothing, and counters are there all the same', async () => {
  const program = `${OWN}
    percore.attachExecutor({ name: 'private' })
    console.log(own().length, percore.metricsText().includes('executor="private"'))`

  assert.deepEqual(
    await runChild(program, { env: { PERCORE_METRICS_FILE: 'off' } }),
    success('0 true\n'),
  )
})

test('what is in the way of the name is left as it is', async () => {
  const target = join(folder, 'target')
  writeFileSync(target, 'mine')
  const program = `${OWN}
    const fields = fs.readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ')
    const name = '/dev/shm/percore-' + process.pid + '-' + fields[19]
    fs.symlinkSync(${JSON.stringify(target)}, name + '-0')
    percore.executor()
    const isLink = fs.lstatSync(name + '-0').isSymbolicLink()
    console.log(isLink, fs.statSync(name + '-1').size)
    fs.unlinkSync(name + '-0')`

  assert.deepEqual(await runChild(program), success(`true ${FILE_BYTES}\n`))
  assert.equal(readFileSync(target, 'utf8'), 'mine')
})

test('children have neither the file nor its descriptor', async () => {
  const program = `${OWN}
    import { execFileSync } from 'node:child_process'
    percore.executor()
    const links = execFileSync('sh', ['-c', 'ls -l /proc/self/fd']).toString()
    console.log(own().length, links.includes('/dev/shm'))`

  assert.deepEqual(await runChild(program), success('1 false\n'))
})

const COUNTS = `${OWN}
  percore.attachExecutor({ name: 'counts' })
  await percore.spawn(() => {})
  const text = percore.metricsText()
  const [path] = own()
  const hidden = path === undefined ? 'private' : (() => {
    const directory = new PublishedDirectory(path)
    directory.refresh()
    return directory.hiddenCount
  })()
  console.log(hidden, /percore_tasks_total\\{executor="counts",id="\\d+"\\} 1/.test(text))
`

for (const [what, mount, hidden] of [
  ['has no room for anything', tmpfs('size=4k'), 'private'],
  ['has no room for an executor', tmpfs('size=16k'), '1'],
  ['is read-only', tmpfs('ro'), 'private'],
  ['may run no programs', tmpfs('size=1m,noexec'), '0'],
  ['is no folder in memory', `mount --bind '${folder}' /dev/shm`, 'private'],
] as const) {
  test(`executors count in private memory where /dev/shm ${what}`, NEEDS_MOUNT, async () => {
    const launcher = inside(mount)

    const result = await runChild(COUNTS, { launcher })

    assert.deepEqual(result, success(`${hidden} true\n`))
  })
}

test('executors count in private memory where files may not be as long', LIMIT, async () => {
  const launcher = ['sh', '-c', 'ulimit -f 100; exec "$@"', 'sh']

  assert.deepEqual(await runChild(COUNTS, { launcher }), success('private true\n'))
})

test(
  'executors whose counters find no room any more work, and are told of',
  NEEDS_MOUNT,
  async () => {
    // Room for the header, and for two of them.
    const launcher = inside(tmpfs('size=48k'))
    const program = `${OWN}
    import { Worker } from 'node:worker_threads'
    import { once } from 'node:events'
    percore.attachExecutor({ name: 'main' })
    const source = 'import(' + JSON.stringify(${JSON.stringify(new URL('../../src/index.js', import.meta.url).href)}) + ').then(async ({ attachExecutor, spawn }) => { attachExecutor({ name: "w" }); await spawn(() => {}); const { parentPort } = await import("node:worker_threads"); parentPort.postMessage(0); setInterval(() => {}, 1000) })'
    const workers = []
    for (let i = 0; i < 3; i++) {
      const worker = new Worker(source, { eval: true })
      await once(worker, 'message')
      workers.push(worker)
    }
    const directory = new PublishedDirectory(own()[0])
    directory.refresh()
    const seen = percore.metricsText().match(/percore_tasks_total\\{executor="w"/g).length
    console.log(directory.hiddenCount, seen)
    await Promise.all(workers.map((worker) => worker.terminate()))
  `

    assert.deepEqual(await runChild(program, { launcher }), success('2 3\n'))
  },
)

test('a directory of another version is refused with both', () => {
  const path = join(folder, 'percore-1-2-0')
  const { memory, words } = createSlot()
  words[1] = 0x43524550
  words[2] = DIRECTORY_VERSION + 1
  writeFileSync(path, new Uint8Array(memory))
  truncateSync(path, FILE_BYTES)

  assert.throws(() => new PublishedDirectory(path), {
    code: 'ERR_UNSUPPORTED',
    message: new RegExp(`its layout must be ${DIRECTORY_VERSION}: it is ${DIRECTORY_VERSION + 1};`),
  })
})

test('a slot that is written to while it is read is read again', (t) => {
  const path = join(folder, `percore-${process.pid}-3-0`)
  const header = createSlot()
  Object.assign(header.words, {
    [DIRECTORY_LAYOUT.HEADER_USED_COUNT!]: 2,
    [DIRECTORY_LAYOUT.HEADER_MAGIC!]: DIRECTORY_LAYOUT.DIRECTORY_MAGIC,
    [DIRECTORY_LAYOUT.HEADER_VERSION!]: DIRECTORY_VERSION,
    [DIRECTORY_LAYOUT.HEADER_PID!]: process.pid,
  })
  const slot = createSlot()
  slot.words[control.WORD_HOLDER] = 1024 + 1
  slot.words[control.WORD_KIND] = control.KIND_EXECUTOR
  const write = (): void => {
    writeFileSync(path, Buffer.concat([Buffer.from(header.memory), Buffer.from(slot.memory)]))
    truncateSync(path, FILE_BYTES)
  }
  write()
  const directory = new PublishedDirectory(path)
  const seen = new SeenProcess([directory])
  const refresh = directory.refresh.bind(directory)
  // A turn begins behind the first look, which would seem to last since the one before.
  t.mock.method(directory, 'refresh', () => {
    refresh()
    slot.words[control.WORD_TURN_SEQUENCE] = 7
    slot.doubles[control.DOUBLE_NOW_NS] = 5e9
    write()
  })

  const [sample] = seen.sample().executors

  assert.equal(sample!.words[control.WORD_TURN_SEQUENCE], 7)
  assert.equal(sample!.doubles[control.DOUBLE_NOW_NS], 5e9)
  seen.close()
})

test('what is no directory is refused, and nobody waits for it', () => {
  const [text, fifo, link] = ['text', 'fifo', 'link'].map((name) => join(folder, name))
  writeFileSync(text!, 'something else')
  spawnSync('mkfifo', [fifo!])
  symlinkSync(text!, link!)

  assert.throws(() => new PublishedDirectory(text!), { code: 'ERR_UNSUPPORTED' })
  assert.throws(() => new PublishedDirectory(fifo!), { code: 'ERR_UNSUPPORTED' })
  assert.throws(() => new PublishedDirectory(link!), { code: 'ELOOP' })
  assert.throws(() => new PublishedDirectory(join(folder, 'gone')), { code: 'ENOENT' })
})

test('a folder that is not there holds no directories, and needs no clearing', () => {
  assert.deepEqual(listPublished(join(folder, 'none')), [])
  clearPublished(join(folder, 'none'))
  assert.ok(statSync(folder).isDirectory())
})

// Whoever changes one of these changes what another process sees: DIRECTORY_VERSION, here and in C, goes up with it.
test('the layout is that of its version', () => {
  const slot = viewSlot(createSlot().memory)
  const fields = Object.entries(control).filter(([, value]) => typeof value === 'number')
  const layout = JSON.stringify([
    fields.sort(([a], [b]) => (a < b ? -1 : 1)),
    DIRECTORY_LAYOUT,
    [slot.words.length, slot.counters.byteOffset, slot.counters.length],
    [...COUNTERS, ...QUEUE_COUNTERS].map(({ name, indexes }) => [name, indexes]),
  ])
  const digest = createHash('sha256').update(layout).digest('hex').slice(0, 16)

  assert.deepEqual([DIRECTORY_VERSION, digest], [3, '3e73821eda985800'])
})
