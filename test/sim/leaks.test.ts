import assert from 'node:assert/strict'
import { test } from 'node:test'
import { spawn } from '../../src/index.ts'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import {
  type SimFaults,
  type SimKernel,
  type Simulation,
  simulate,
} from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { seedCount } from '../limits.ts'

const SEEDS = seedCount(45)

function faultsOf(seed: number): SimFaults {
  const often = [0, 0.05, 0.3][seed % 3]!
  const ofFiles = { EMFILE: often, EIO: often, ENOSPC: often / 2, EAGAIN: often, EINTR: often }
  const ofSockets = { ECONNREFUSED: often, ETIMEDOUT: often / 2, ECONNRESET: often / 4 }
  const others = { lateCancel: 0.3, multishotEnd: 0.1, shortRead: 0.1, shortWrite: 0.1 }
  return { errors: { ...ofFiles, ...ofSockets }, ...others }
}

/** Errors of the kernel and of the runtime are expected here; a failed assertion is not. */
function tolerate(error: unknown): void {
  if (error instanceof assert.AssertionError || error instanceof TypeError) throw error
}

async function useFile(round: number): Promise<void> {
  const path = `/tmp/${round}`
  if (round % 2 === 0) {
    await using file = await BufferedFile.create(path)
    await file.write(new Uint8Array(5000).fill(round), 100)
    await file.read(0, 5100)
    return
  }
  await using file = await DirectFile.create(path)
  await file.writeBytes(new Uint8Array(9000).fill(round), 100)
  using buffer = file.allocateBuffer(4096)
  await file.readInto(buffer, 0)
  using _rest = await file.read(0, 5100)
}

test('files leave no descriptor and no buffer behind, whatever fails or is cancelled', async () => {
  const program = async ({ kernel }: Simulation): Promise<void> => {
    for (let round = 0; round < 6; round++) {
      const task = spawn(() => useFile(round))
      const ended = task.then(() => {}, tolerate)
      await sleep(kernel.prng.pick([0, 0.05, 0.1, 0.2, 0.4, 1]))
      await task.cancel()
      await ended
    }
  }

  for (let seed = 0; seed < SEEDS; seed++) {
    await simulate({ seed, faults: faultsOf(seed), checkBuffers: true }, program)
  }
})

/** As often as the program's life lets it. */
async function repeat({ executor }: Simulation, body: () => Promise<void>): Promise<void> {
  while (!executor.isClosed) await body().catch(tolerate)
}

async function openOne({ kernel }: Simulation): Promise<void> {
  const file = await BufferedFile.create(`/tmp/${kernel.prng.int(0, 9)}`)
  await file.close()
}

async function connectOne(port: number): Promise<void> {
  const stream = await TcpStream.connect({ host: '127.0.0.1', port })
  await stream.close()
}

async function acceptOne(listener: TcpListener): Promise<void> {
  const stream = await listener.accept()
  void stream.close()
}

test('a program that ends at any moment leaves no descriptor to its process', async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    let machine: SimKernel | null = null
    const end = new Error('a failure ends a program at once')
    const program = async (simulation: Simulation): Promise<void> => {
      machine = simulation.kernel
      const listener = await TcpListener.bind({ port: 0, host: '127.0.0.1' })
      spawn(() => repeat(simulation, () => acceptOne(listener)))
      for (let loop = 0; loop < 4; loop++) {
        spawn(() => repeat(simulation, () => openOne(simulation)))
        spawn(() => repeat(simulation, () => connectOne(listener.address.port)))
      }
      await sleep(simulation.kernel.prng.int(0, 600) / 1000)
      throw end
    }

    const faults = { ...faultsOf(seed), cqOverflow: 0.2 }
    await assert.rejects(simulate({ seed, faults }, program), { cause: end })

    assert.deepEqual(machine!.leftovers().descriptors, [], `seed ${seed}`)
  }
})

async function echo(stream: TcpStream): Promise<void> {
  await using owned = stream
  for await (const chunk of owned) await owned.write(chunk)
}

async function serve(listener: TcpListener): Promise<void> {
  const serving: Promise<void>[] = []
  try {
    for await (const stream of listener) serving.push(echo(stream).catch(tolerate))
  } catch (error) {
    tolerate(error)
  }
  await Promise.all(serving)
}

async function ask(port: number): Promise<void> {
  await using client = await TcpStream.connect({ host: '127.0.0.1', port, timeoutMs: 50 })
  await client.write(new Uint8Array(1000).fill(7))
  for (let received = 0; received < 1000; ) {
    const chunk = await client.read({ timeoutMs: 5 })
    if (chunk === null) break
    assert.ok(chunk.every((byte) => byte === 7))
    received += chunk.length
  }
}

test('sockets leave no descriptor behind, whatever fails or is given up', async () => {
  const program = async (): Promise<void> => {
    const listener = await TcpListener.bind({ port: 0, host: '127.0.0.1' })
    const serving = spawn(() => serve(listener))
    const { port } = listener.address
    await Promise.all(Array.from({ length: 5 }, () => ask(port).catch(tolerate)))
    await listener.close()
    await serving
  }

  for (let seed = 0; seed < SEEDS; seed++) {
    await simulate({ seed, faults: faultsOf(seed) }, program)
  }
})
