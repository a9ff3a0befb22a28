import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const SOURCES = fileURLToPath(new URL('../../src', import.meta.url))

/** Uses files, sockets, timers and locks, simulated; then tries the real kernel. */
const PROGRAM = `
  const { executor, random, spawn } = await import('./dist/src/index.js')
  const { BufferedFile, DirectFile } = await import('./dist/src/io/index.js')
  const { TcpListener, TcpStream } = await import('./dist/src/net/index.js')
  const { Mutex } = await import('./dist/src/sync/index.js')
  const { simulate } = await import('./dist/src/testing/index.js')
  const { nowMs, sleep, wallClockMs } = await import('./dist/src/time/index.js')

  const received = await simulate(1, async () => {
    const file = await DirectFile.create('/tmp/a')
    await file.writeBytes(new Uint8Array(9000).fill(7), 0)
    await file.close()
    const again = await BufferedFile.open('/tmp/a')
    await again.close()
    const listener = await TcpListener.bind({ host: '127.0.0.1', port: 0 })
    const accepting = listener.accept()
    const client = await TcpStream.connect({ host: '127.0.0.1', port: listener.address.port })
    const server = await accepting
    await client.write(new Uint8Array(10))
    const chunk = await server.read()
    await Promise.all([client.close(), server.close(), listener.close()])
    const guard = await new Mutex(0).lock()
    guard.release()
    await spawn(() => sleep(1000))
    return chunk.length
  })
  let code = 'none'
  try {
    executor()
  } catch (error) {
    code = error.code
  }
  console.log(received, code, [random(), nowMs(), wallClockMs()].every(Number.isFinite))
`

/** Runs the program on a copy of the package that has no binary, on what says it is another platform. */
function runWithout(platform: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'percore-no-addon-'))
  try {
    cpSync(SOURCES, join(directory, 'dist/src'), { recursive: true })
    writeFileSync(join(directory, 'package.json'), '{ "type": "module" }')
    const first = `Object.defineProperty(process, 'platform', { value: '${platform}' })\n`
    writeFileSync(join(directory, 'program.mjs'), first + PROGRAM)
    const options = { cwd: directory, encoding: 'utf8' } as const
    const { stdout, stderr } = spawnSync(process.execPath, ['program.mjs'], options)
    assert.equal(stderr, '')
    return stdout
  } finally {
    rmSync(directory, { recursive: true })
  }
}

test('simulate() runs where the native layer is missing', () => {
  assert.equal(runWithout('linux'), '10 ERR_ADDON_MISSING true\n')
})

test('simulate() runs on another platform than Linux', () => {
  assert.equal(runWithout('darwin'), '10 ERR_ADDON_MISSING true\n')
})
