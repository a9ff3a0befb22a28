/**
 * A program with a bug of the usual kind, which only some seeds show: it takes a short write for a
 * whole one.
 *
 * Prints the trace of the first seed that fails, and fails with the command that replays it.
 */
import assert from 'node:assert/strict'
import { AwaitedOperation, type Executor } from '../../src/executor/index.ts'
import { BufferedFile } from '../../src/io/index.ts'
import { encodeWrite } from '../../src/ring/index.ts'
import { type Simulation, simulate } from '../../src/testing/index.ts'

const SEEDS_MAX = 500
const RECORD = Buffer.from('a record that must be whole')

/** One write, as the kernel does it: maybe less than asked for. */
class PlainWrite extends AwaitedOperation<number> {
  protected override interpret(result: number): number {
    return result
  }
  protected override describe(): { syscall: string } {
    return { syscall: 'write' }
  }
}

function writeOnce(executor: Executor, fd: number, bytes: Uint8Array, at: number): Promise<number> {
  const {
    io: { main },
    memory,
  } = executor
  const buffer = memory.allocate(bytes.length)
  buffer.bytes.set(bytes)
  const operation = new PlainWrite(executor)
  encodeWrite(main.sqes, main.begin(), {
    file: { fd, registered: false },
    memory: { address: buffer.address, lengthBytes: bytes.length, bufferIndex: -1 },
    offsetBytes: at,
  })
  main.commit(operation)
  return operation.promise.finally(() => buffer.release())
}

async function main({ executor, kernel }: Simulation): Promise<void> {
  await using file = await BufferedFile.create('/tmp/log')
  for (let index = 0; index < 5; index++) {
    // The bug: the count that was written is not looked at.
    await writeOnce(executor, file.fd, RECORD, index * RECORD.length)
  }
  const bytes = Buffer.from(kernel.files.readFile('/tmp/log')!)
  for (let index = 0; index < 5; index++) {
    const at = index * RECORD.length
    assert.equal(bytes.subarray(at, at + RECORD.length).compare(RECORD), 0)
  }
}

for (let seed = 0; seed < SEEDS_MAX; seed++) {
  const lines: string[] = []
  const trace = (line: string): void => {
    lines.push(line)
  }
  try {
    await simulate({ seed, trace, faults: { shortWrite: 0.01 } }, main)
  } catch (error) {
    console.log(lines.join('\n'))
    console.error((error as Error).message)
    process.exit(1)
  }
}
