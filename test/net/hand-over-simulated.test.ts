/**
 * Connections between threads of one simulated process, which take turns by the seed: every byte is checked.
 *
 * Proof that these can fail: a ticket without what had come (`received` left empty) loses bytes; a side that takes it out
 * before its receive has ended doubles or loses some; passing the descriptor on while it stays tracked closes it
 * under the taker, and a loop that does not close what nobody took leaves it open.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { confine, createDeferred, Executor } from '../../src/executor/index.ts'
import { TcpListener, TcpStream, type TcpStreamTicket } from '../../src/net/index.ts'
import { SimKernel, type SimKernelOptions } from '../../src/sim/index.ts'
import { assertPattern, ignore, pattern } from './support.ts'

interface Threads {
  readonly kernel: SimKernel
  readonly executors: readonly Executor[]
}

type Main = () => Promise<void>

/** Runs `prepare`d programs, one on each thread; rejects if none can go on. */
async function runThreads(
  options: SimKernelOptions,
  count: number,
  prepare: (threads: Threads) => readonly Main[],
): Promise<void> {
  const stuck = createDeferred<never>()
  const onStuck = (reason: string): void =>
    stuck.reject(new Error(`seed ${options.seed} is stuck: ${reason}`))
  const kernel = new SimKernel(options, { onStuck, turnCountMax: 1_000_000 })
  const executors = Array.from({ length: count }, (_, index) => {
    const small = { name: `shard ${index}`, ringDepth: 16, ioMemoryBytes: 256 * 1024 }
    const executor = new Executor({ ...small, kernel: index === 0 ? kernel : kernel.thread() })
    confine(executor)
    return executor
  })
  try {
    const mains = prepare({ kernel, executors })
    const tasks = executors.map((executor, index) =>
      executor.spawnInto(executor.defaultQueue, mains[index]!),
    )
    await Promise.race([Promise.all(tasks), stuck.promise])
  } catch (error) {
    throw new Error(`seed ${options.seed} fails`, { cause: error })
  } finally {
    for (const executor of executors) executor.leave()
  }
  assert.deepEqual(kernel.leftovers().descriptors, [], `seed ${options.seed} leaves descriptors`)
}

/** Where threads leave messages for one. A thread that waits here is woken by who leaves one. */
class Mail<T> {
  readonly #messages: T[] = []
  #wake: (() => void) | null = null
  readonly #owner: Executor

  constructor(owner: Executor) {
    this.#owner = owner
  }

  post(message: T): void {
    this.#messages.push(structuredClone(message))
    this.#wake?.()
  }

  async take(): Promise<T> {
    this.#owner.liveness.hold()
    while (this.#messages.length === 0) {
      const { promise, resolve } = createDeferred<void>()
      this.#wake = resolve
      await promise
    }
    this.#owner.liveness.letGo()
    return this.#messages.shift()!
  }
}

/** Sends the pattern and expects it back, both at once. */
async function exchange(stream: TcpStream, lengthBytes: number, chunkBytes: number): Promise<void> {
  const send = async (): Promise<void> => {
    for (let sent = 0; sent < lengthBytes; sent += chunkBytes) {
      await stream.write(pattern(sent, Math.min(chunkBytes, lengthBytes - sent)))
    }
    await stream.shutdown()
  }
  const receive = async (): Promise<void> => {
    let position = 0
    for await (const chunk of stream) {
      assertPattern(chunk, position)
      position += chunk.length
    }
    assert.equal(position, lengthBytes)
  }
  await Promise.all([send(), receive()])
}

/** Echoes chunks, and gives the stream on after so many, until it ends; two threads do so in turns. */
async function echoInTurns(
  mine: Mail<TcpStreamTicket | null>,
  other: Mail<TcpStreamTicket | null>,
  count: { rounds: number },
): Promise<void> {
  for (let ticket = await mine.take(); ticket !== null; ticket = await mine.take()) {
    const stream = TcpStream.adopt(ticket)
    count.rounds++
    // Often less than has come: the rest goes along.
    const memory = new Uint8Array(1 + ((count.rounds * 151) % 500))
    const chunk = memory.subarray(0, await stream.readInto(memory))
    if (chunk.length === 0) {
      await stream.shutdown()
      await stream.close()
      other.post(null)
      return
    }
    // Not awaited: it is the hand-over that waits for it.
    void stream.write(chunk).catch(ignore)
    other.post(await stream.detach())
  }
}

function handBackAndForth(lengthBytes: number, chunkBytes: number, count: { rounds: number }) {
  return ({ executors }: Threads): Main[] => {
    const [, second, third] = executors
    const ports = createDeferred<number>()
    const left = new Mail<TcpStreamTicket | null>(second!)
    const right = new Mail<TcpStreamTicket | null>(third!)
    return [
      async () => {
        await using stream = await TcpStream.connect({ port: await ports.promise })
        await exchange(stream, lengthBytes, chunkBytes)
      },
      async () => {
        await using listener = await TcpListener.bind({ port: 0 })
        ports.resolve(listener.address.port)
        const stream = await listener.accept()
        left.post(await stream.detach())
        await echoInTurns(left, right, count)
      },
      () => echoInTurns(right, left, count),
    ]
  }
}

test('a connection goes back and forth between simulated threads, under load, with faults', async () => {
  for (let seed = 0; seed < 12; seed++) {
    const count = { rounds: 0 }
    const faults = {
      shortRead: 0.2,
      shortWrite: 0.2,
      multishotEnd: 0.1,
      noBuffers: 0.1,
      lateCancel: 0.3,
      enterBusy: 0.1,
    }
    const options = { seed, faults, socketBufferBytes: 4096 }

    await runThreads(options, 3, handBackAndForth(64 * 1024, 1500, count))

    assert.ok(count.rounds > 20, `seed ${seed} has ${count.rounds} rounds`)
  }
})

test('a thousand hand-overs between simulated threads lose and double no byte', async () => {
  const count = { rounds: 0 }
  const options = { seed: 7, socketBufferBytes: 1024 }

  await runThreads(options, 3, handBackAndForth(300 * 1024, 700, count))

  assert.ok(count.rounds >= 1000, `there were ${count.rounds} rounds`)
})

test('a thread that ends closes what nobody has taken, unless that is to outlive it', async () => {
  for (let seed = 0; seed < 20; seed++) {
    for (const outlivesThread of [false, true]) {
      await runThreads({ seed }, 2, ({ executors }) => {
        const mail = new Mail<TcpStreamTicket>(executors[0]!)
        const ports = createDeferred<number>()
        return [
          async () => {
            await using listener = await TcpListener.bind({ port: 0 })
            ports.resolve(listener.address.port)
            await using server = await listener.accept()
            const ticket = await mail.take()
            await executors[1]!.close()
            if (outlivesThread) {
              await using adopted = TcpStream.adopt(ticket)
              await adopted.write(pattern(0, 4))
              assert.equal((await server.read())?.length, 4)
            } else {
              assert.throws(() => TcpStream.adopt(ticket), { code: 'ERR_TICKET_SPENT' })
              assert.equal(await server.read(), null)
            }
          },
          async () => {
            const client = await TcpStream.connect({ port: await ports.promise })
            mail.post(await client.detach({ outlivesThread }))
          },
        ]
      })
    }
  }
})

test('of several threads that adopt one ticket exactly one gets the connection', async () => {
  for (let seed = 0; seed < 30; seed++) {
    let takenCount = 0
    await runThreads({ seed }, 4, ({ executors }) => {
      const mails = executors.map((executor) => new Mail<TcpStreamTicket>(executor))
      const take = (index: number) => async (): Promise<void> => {
        const ticket = await mails[index]!.take()
        try {
          const stream = TcpStream.adopt(ticket)
          takenCount++
          await stream.close()
        } catch (error) {
          assert.equal((error as { code: string }).code, 'ERR_TICKET_SPENT')
        }
      }
      const give = async (): Promise<void> => {
        await using listener = await TcpListener.bind({ port: 0 })
        const accepting = listener.accept()
        await using client = await TcpStream.connect({ port: listener.address.port })
        const ticket = await (await accepting).detach()
        for (const mail of mails.slice(1)) mail.post(ticket)
        assert.equal(await client.read(), null)
      }
      return [give, take(1), take(2), take(3)]
    })
    assert.equal(takenCount, 1, `seed ${seed}`)
  }
})
