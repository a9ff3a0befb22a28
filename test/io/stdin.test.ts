/** Standard input of programs: pipes, files, terminals, and none. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { farLimitMs } from '../limits.ts'
import { makeFolder } from './support.ts'

const LIMIT_MS: number = farLimitMs(20_000)

function door(path: string): string {
  return JSON.stringify(new URL(path, import.meta.url).href)
}

const PRELUDE = `
  import { spawn } from ${door('../../src/index.js')}
  import { stdin } from ${door('../../src/io/index.js')}
  import { ByteReader } from ${door('../../src/streams/index.js')}
  const say = (value) => process.stdout.write(JSON.stringify(value) + '\\n')
`
const READ_ALL = "say(Buffer.from(await new ByteReader(stdin()).readToEnd()).toString('latin1'))"

function words(script: string): string[] {
  return ['--input-type=module', '-e', `${PRELUDE}\n${script}`]
}

/** A program with a pipe for its standard input. */
function start(t: TestContext, script: string): ChildProcess {
  const child = spawn(process.execPath, words(script), { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  return child
}

/** What it has said in the end; it must end by itself, and well. */
async function answersOf(child: ChildProcess): Promise<unknown[]> {
  const exited = once(child, 'exit')
  const said = await text(child.stdout!)
  assert.deepEqual(await exited, [0, null])
  return said
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as unknown)
}

test('stdin() of a pipe gives what comes until the end', async (t) => {
  const child = start(t, READ_ALL)
  const sent = 'x'.repeat(300_000)

  child.stdin!.end(sent)

  assert.deepEqual(await answersOf(child), [sent])
})

test('stdin() gives what there is, and waits for what comes', async (t) => {
  const child = start(t, 'for await (const line of new ByteReader(stdin()).lines()) say(line)')
  child.stdin!.write('one\ntw')
  const [first] = (await once(child.stdout!, 'data')) as [Buffer]
  assert.equal(first.toString(), '"one"\n')

  child.stdin!.end('o\nthree')

  assert.deepEqual(await answersOf(child), ['two', 'three'])
})

test('stdin() of a file reads it from where it stands', (t) => {
  const path = join(makeFolder(t), 'input')
  writeFileSync(path, 'abc'.repeat(50_000))
  const fd = openSync(path, 'r')

  const child = spawnSync(process.execPath, words(READ_ALL), {
    stdio: [fd, 'pipe', 'inherit'],
    timeout: LIMIT_MS,
  })

  assert.equal(JSON.parse(child.stdout.toString()), 'abc'.repeat(50_000))
})

test('stdin() of a program that was started without one is empty', () => {
  const child = spawnSync(
    'sh',
    ['-c', 'exec "$@" <&-', 'sh', process.execPath, ...words(READ_ALL)],
    {
      timeout: LIMIT_MS,
    },
  )

  assert.equal(child.stdout.toString(), '""\n')
})

test('a source of standard input that nobody pulls from keeps no program alive', async (t) => {
  const child = start(t, "stdin(); say('end')")

  assert.deepEqual(await answersOf(child), ['end'])
})

test('a pull of standard input ends by signal, time limit, task and close, and loses nothing', async (t) => {
  const child = start(
    t,
    `
    const source = stdin()
    const caught = (promise) => promise.then(() => 'none', (error) => error.name === 'AbortError' ? error.name : error.code)
    const controller = new AbortController()
    const aborted = caught(source.pull({ signal: controller.signal }))
    say(await caught(source.pull()))
    controller.abort()
    say(await aborted)
    say(await caught(source.pull({ timeoutMs: 5 })))
    const task = spawn(() => source.pull())
    await task.cancel()
    say('cancelled')
    try { stdin() } catch (error) { say(error.code) }
    say('send')
    const lease = await source.pull()
    say(Buffer.from(lease.bytes).toString())
    lease.release()
    const pending = caught(source.pull())
    await source.close()
    say(await pending)
    say(await caught(source.pull()))
    const again = stdin()
    say('closed')
    say(await again.pull() === null)
    say(await again.pull() === null)`,
  )
  let said = ''
  child.stdout!.on('data', (chunk: Buffer) => {
    said += chunk.toString()
    if (said.endsWith('"send"\n')) child.stdin!.write('kept')
    if (said.endsWith('"closed"\n')) child.stdin!.end()
  })
  await once(child, 'close')

  assert.deepEqual(
    said
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
    [
      'ERR_STILL_HELD',
      'AbortError',
      'ERR_TASK_TIMEOUT',
      'cancelled',
      'ERR_STILL_HELD',
      'send',
      'kept',
      'ERR_HANDLE_CLOSED',
      'ERR_HANDLE_CLOSED',
      'closed',
      true,
      true,
    ],
  )
})

test('closing a source of standard input again leaves the newer one its claim', async (t) => {
  const child = start(
    t,
    `
    const source = stdin()
    await source.close()
    const again = stdin()
    await source.close()
    try { stdin() } catch (error) { say(error.code) }
    await again.close()
    await stdin().close()
    say('closed')
  `,
  )

  assert.deepEqual(await answersOf(child), ['ERR_STILL_HELD', 'closed'])
})

test('stdin() where the I/O memory is taken gives what comes all the same', async (t) => {
  const child = start(
    t,
    `
    import { executor } from ${door('../../src/executor/index.js')}
    const { memory } = executor()
    const held = []
    for (let sizeBytes = 1 << 20; sizeBytes >= 4096; sizeBytes /= 2) {
      for (let lease = memory.tryAllocate(sizeBytes); lease !== null; lease = memory.tryAllocate(sizeBytes)) held.push(lease)
    }
    ${READ_ALL}
    for (const lease of held) lease.release()
  `,
  )
  const sent = 'x'.repeat(100_000)

  child.stdin!.end(sent)

  assert.deepEqual(await answersOf(child), [sent])
})

test('process.stdin works after a source of standard input is closed', async (t) => {
  const child = start(
    t,
    `
    const source = stdin()
    const lease = await source.pull()
    say(Buffer.from(lease.bytes).toString())
    await source.close()
    for await (const chunk of process.stdin) say(chunk.toString())`,
  )
  child.stdin!.write('one')
  const [first] = (await once(child.stdout!, 'data')) as [Buffer]
  assert.equal(first.toString(), '"one"\n')

  child.stdin!.end('two')

  assert.deepEqual(await answersOf(child), ['two'])
})

test('stdin() reads though process.stdin has made it one that does not wait', async (t) => {
  const child = start(t, `process.stdin; ${READ_ALL}`)
  await new Promise((resolve) => child.stdin!.write('one', resolve))

  child.stdin!.end('two')

  assert.deepEqual(await answersOf(child), ['onetwo'])
})

test('stdin() leaves to a child what it has not pulled', (t) => {
  const path = join(makeFolder(t), 'input')
  writeFileSync(path, `${'a'.repeat(65_536)}rest`)
  const script = `
    import { spawnSync } from 'node:child_process'
    const source = stdin()
    const lease = await source.pull()
    say(lease.lengthBytes)
    const child = spawnSync('cat', [], { stdio: ['inherit', 'pipe', 'inherit'] })
    say(child.stdout.toString())`

  const child = spawnSync(process.execPath, words(script), {
    stdio: [openSync(path, 'r'), 'pipe', 'inherit'],
    timeout: LIMIT_MS,
  })

  assert.equal(child.stdout.toString(), '65536\n"rest"\n')
})

const hasScript = spawnSync('python3', ['-c', 'import pty']).status === 0

test('stdin() of a terminal gives lines, and ends with ^D', { skip: !hasScript }, () => {
  const program = [
    process.execPath,
    ...words('for await (const line of new ByteReader(stdin()).lines()) say(line); say(null)'),
  ]
  const python = `
import os, pty, sys, json
pid, fd = pty.fork()
if pid == 0: os.execv(sys.argv[1], sys.argv[1:])
out = b''
def until(word):
    global out
    while word not in out: out += os.read(fd, 1000)
os.write(fd, b'one\\n'); until(b'"one"')
os.write(fd, b'two\\n'); until(b'"two"')
os.write(fd, b'\\x04'); until(b'null')
_, status = os.waitpid(pid, 0)
print(status)`

  const child = spawnSync('python3', ['-c', python, ...program], { timeout: LIMIT_MS })

  assert.equal(child.stdout.toString(), '0\n', child.stderr.toString())
})
