import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { type SimulationOptions, simulate } from '../../src/testing/index.ts'

const TIME = String.raw`\d+\.\d{6} ms`

async function traceOf(
  main: () => Promise<void>,
  options: SimulationOptions = {},
): Promise<string[]> {
  const lines: string[] = []
  await simulate({ seed: 1, ...options, trace: (line) => lines.push(line) }, main)
  return lines
}

function assertLine(lines: readonly string[], pattern: string): void {
  const expected = new RegExp(`^${TIME} ${pattern}$`)
  assert.ok(
    lines.some((line) => expected.test(line)),
    `${expected} is none of\n${lines.join('\n')}`,
  )
}

test('a trace has path, descriptor, offset, length and result of what is done to files', async () => {
  const lines = await traceOf(async () => {
    await using file = await BufferedFile.create('/tmp/a')
    await file.write(new Uint8Array(5000), 100)
    await file.datasync()
    await file.rename('/tmp/b')
  })

  assertLine(lines, "OPENAT2? '/tmp/a' -> \\d+")
  assertLine(
    lines,
    String.raw`WRITE(_FIXED)? (fd \d+|slot \d+) file '/tmp/a' offset 100 length 5000 -> 5000`,
  )
  assertLine(lines, String.raw`FSYNC (fd \d+|slot \d+) file '/tmp/a' -> 0`)
  assertLine(lines, "RENAMEAT '/tmp/a' to '/tmp/b' -> 0")
  assertLine(lines, String.raw`CLOSE (fd \d+|slot \d+) file '/tmp/a' -> 0`)
})

test('a trace shows that a transfer was short', async () => {
  const main = async (): Promise<void> => {
    await using file = await DirectFile.create('/tmp/a')
    await file.writeBytes(new Uint8Array(65_536), 0)
  }

  const lines = await traceOf(main, { faults: { shortWrite: 1 } })

  const [first] = lines.filter((line) => line.includes(' WRITE'))
  const [, length, result] = /length (\d+) -> (\d+)$/.exec(first!)!
  assert.ok(Number(result) < Number(length))
})

test('a trace has the address, the length and the buffer of what is done to sockets', async () => {
  const lines = await traceOf(async () => {
    await using listener = await TcpListener.bind({ port: 7000, host: '127.0.0.1' })
    const accepting = listener.accept()
    await using client = await TcpStream.connect({ host: '127.0.0.1', port: 7000 })
    await using server = await accepting
    await client.write(new Uint8Array(300))
    await server.read()
  })

  assertLine(lines, String.raw`CONNECT fd \d+ .*socket to 127\.0\.0\.1:7000 -> 0`)
  assertLine(lines, String.raw`SEND fd \d+ connected socket length 300 -> 300`)
  assertLine(lines, String.raw`RECV fd \d+ connected socket .*-> 300 buffer \d+( more)?`)
})
