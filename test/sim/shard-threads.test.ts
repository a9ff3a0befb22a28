import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { currentOrNull } from '../../src/executor/index.ts'
import { executor, needPreempt, random, spawn, yieldNow } from '../../src/index.ts'
import { BufferedFile } from '../../src/io/index.ts'
import { currentKernel } from '../../src/kernel/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import type { Shard } from '../../src/runtime/index.ts'
import { Semaphore } from '../../src/sync/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { nowMs, sleep } from '../../src/time/index.ts'
import { letGo, resultOf, runShards, startShard } from './shard-threads.ts'

const HOST = '127.0.0.1'

test('a shard has an executor of its own, whatever its code awaits', async () => {
  const shared = Promise.resolve()
  const results = await simulate(1, async ({ executor: main }) => {
    const executors = new Set([main])
    const ended = await runShards(3, async (shard) => {
      const own = executor()
      executors.add(own)
      assert.equal(own.name, shard.name)
      await shared
      assert.equal(currentOrNull(), own)
      await new Promise((resolve) => setImmediate(resolve))
      assert.equal(currentOrNull(), own)
      await sleep(10)
      assert.equal(currentOrNull(), own)
      await spawn(async () => {
        await yieldNow()
        assert.equal(currentOrNull(), own)
      })
      await new Promise<void>((resolve) => {
        queueMicrotask(() => resolve(assert.equal(currentOrNull(), own)))
      })
      assert.equal(currentKernel(), own.kernel)
      assert.equal(typeof needPreempt(), 'boolean')
      return shard.id
    })
    assert.equal(currentOrNull(), main)
    assert.equal(executors.size, 4)
    return ended.map(resultOf)
  })

  assert.deepEqual(results, [0, 1, 2])
})

test('shards share one clock, and each has random numbers of its own that replay', async () => {
  const run = (seed: number): Promise<unknown[]> =>
    simulate(seed, async () => {
      const ended = await runShards(2, async () => {
        await sleep(1000 * random())
        return [nowMs(), Date.now(), Math.random(), performance.now()]
      })
      return ended.map(resultOf)
    })

  const first = await run(5)
  const again = await run(5)
  const other = await run(6)

  assert.deepEqual(again, first)
  assert.notDeepEqual(other, first)
  assert.notDeepEqual(first[0], first[1])
})

test('a needPreempt() of each shard ends its busy loop', async () => {
  await simulate(1, async () => {
    const ended = await runShards(2, async () => {
      let passes = 0
      while (!needPreempt()) passes++
      await yieldNow()
      return passes < 10_000
    })
    assert.deepEqual(ended.map(resultOf), [true, true])
  })
})

test('a shard has none of the AsyncLocalStorage of who starts it, and keeps its own', async () => {
  const storage = new AsyncLocalStorage<string>()

  await storage.run('test', () =>
    simulate(1, async () => {
      const ended = await runShards(2, async (shard) => {
        const before = storage.getStore() ?? 'none'
        return await storage.run(shard.name, async () => {
          await sleep(1)
          await null
          return [before, storage.getStore()]
        })
      })
      assert.deepEqual(ended.map(resultOf), [
        ['none', 'shard-0'],
        ['none', 'shard-1'],
      ])
      assert.equal(storage.getStore(), 'test')
    }),
  )
})

test('shards reach each other over the network of their machine', async () => {
  await simulate(1, async () => {
    const server = startShard(async (shard) => {
      await using listener = await TcpListener.bind({ host: HOST, port: 7000 })
      await using stream = await listener.accept()
      const chunk = await stream.read()
      return [shard.id, Buffer.from(chunk!).toString()]
    }, 0)
    const client = startShard(async () => {
      await sleep(10)
      await using stream = await TcpStream.connect({ host: HOST, port: 7000 })
      await stream.write(Buffer.from('hello'))
      await stream.read()
    }, 1)
    await letGo([server, client])
    await Promise.all([server.ended, client.ended])
    assert.deepEqual(resultOf(server.messages.at(-1)), [0, 'hello'])
  })
})

test('the module of a shard is loaded once, in no time, and its default export runs on each', async () => {
  const module = new URL('./shard-module.js', import.meta.url)
  const run = (): Promise<unknown[]> =>
    simulate(3, async () => {
      const shards = [0, 1, 2].map((id) => startShard(module, id, id * 10))
      await letGo(shards)
      await Promise.all(shards.map(({ ended }) => ended))
      return shards.map(({ messages }) => resultOf(messages.at(-1)))
    })

  const results = await run()

  assert.deepEqual(
    results.map((result) => (result as unknown[])[0]),
    [1, 11, 21],
  )
  // Whether it has been loaded before or not.
  assert.deepEqual(await run(), results)
})

test('a failure that nobody handles ends the shard alone', () => {
  const program = fileURLToPath(new URL('./shard-unhandled.js', import.meta.url))

  const { status, stdout, stderr } = spawnSync(process.execPath, [program], { encoding: 'utf8' })

  assert.deepEqual([status, stdout], [0, '1 no EX, 0 ended\n'], stderr)
})

test('terminate() ends a shard wherever it is, and its peers see what a real one leaves them', async () => {
  const heard = new Set<string>()
  for (let seed = 0; seed < 40; seed++) {
    await simulate(seed, async ({ kernel }) => {
      const server = startShard(async () => {
        await using listener = await TcpListener.bind({ host: HOST, port: 7000 })
        for (;;) {
          const stream = await listener.accept()
          spawn(async () => {
            for await (const chunk of stream) await stream.write(chunk)
          })
        }
      })
      await letGo([server])
      await sleep(5)
      const client = await TcpStream.connect({ host: HOST, port: 7000 })
      let count = 0
      const talk = async (): Promise<string> => {
        for (;;) {
          await client.write(Buffer.from('x'))
          if ((await client.read()) === null) return 'end'
          if (++count === seed % 7) server.thread.terminate()
        }
      }
      const talking = talk().catch((error) => error.code as string)
      if (seed % 7 === 0) server.thread.terminate()

      heard.add(await talking)
      assert.deepEqual(await server.ended, { exitCode: 1, failure: null })
      await client.close()
      assert.deepEqual(kernel.leftovers().descriptors, [])
    })
  }

  assert.ok([...heard].every((outcome) => ['end', 'ECONNRESET', 'EPIPE'].includes(outcome)))
  assert.ok(heard.size > 0)
})

test('terminate() ends an endless loop of turns, and one that has not started', async () => {
  await simulate({ seed: 1, turnCountMax: 100_000 }, async () => {
    const endless = startShard(async () => {
      for (;;) await yieldNow()
    })
    await letGo([endless])
    await sleep(1)
    const unborn = startShard(() => {}, 1)
    unborn.thread.terminate()
    endless.thread.terminate()

    assert.equal((await endless.ended).exitCode, 1)
    assert.equal((await unborn.ended).exitCode, 1)
  })
})

test('a shard whose function has returned lives on what it left, and no longer', async () => {
  await simulate(1, async () => {
    const [ended] = await runShards(1, () => {
      spawn(() => sleep(500))
      return nowMs()
    })
    assert.ok(nowMs() - (resultOf(ended) as number) >= 500)
  })
})

test('threads that a shard has started end with it', async () => {
  await simulate(1, async ({ kernel }) => {
    const parent = startShard(async () => {
      const child = startShard(async () => {
        await using _listener = await TcpListener.bind({ host: HOST, port: 7001 })
        await sleep(1e6)
      }, 1)
      await letGo([child])
      await sleep(1e6)
    })
    await letGo([parent])
    await sleep(100)
    assert.equal(kernel.leftovers().descriptors.length, 1)
    parent.thread.terminate()
    await parent.ended
    await sleep(100)
    assert.deepEqual(kernel.leftovers().descriptors, [])
  })
})

test('a simulation fails that leaves shards running, naming them', async () => {
  const left = simulate(1, async () => {
    const shard = startShard(() => new Semaphore(0).acquire(1))
    await letGo([shard])
  })

  await assert.rejects(left, {
    code: 'ERR_SIMULATION_FAILED',
    message: /shard-0 were left running/,
  })
})

test('ERR_SIMULATION_STUCK names the tasks of each shard, and the trace its operations', async () => {
  const lines: string[] = []
  const trace = (line: string): void => void lines.push(line)
  const stuck = simulate({ seed: 1, trace }, async () => {
    await runShards(2, async function wait(shard: Shard) {
      await using _file = await BufferedFile.create(`/tmp/${shard.name}`)
      await new Semaphore(0).acquire(1)
    })
  })

  const error = await stuck.then(
    () => null,
    (reason) => reason,
  )
  assert.equal(error?.code, 'ERR_SIMULATION_STUCK')
  for (const name of ['shard-0', 'shard-1']) {
    const task = `${name}: task '${name}' of queue 'default' waits to acquire a permit`
    assert.ok(error.message.includes(task), error.message)
    assert.ok(lines.some((line) => line.includes(` ms ${name}: `)))
  }
  assert.match(error.message, /main: task 'main' .* waits for another task/)
})

test('a simulation tells of buffers that shards do not release, if told to look', async () => {
  const run = (checkBuffers: boolean): Promise<unknown> =>
    simulate({ seed: 1, checkBuffers }, () =>
      runShards(2, ({ id }) => {
        if (id === 1) executor().memory.allocate(4096)
      }),
    )

  await run(false)
  await assert.rejects(run(true), { message: /1 of shard-1 were not/ })
})

test('a shard begins on the processors of the thread that starts it, as they are then', async () => {
  const masks = await simulate(1, async ({ kernel }) => {
    const mask = new Uint8Array(8)
    const shards = [0, 1].map((id) => {
      mask[0] = 1 << id
      assert.equal(kernel.setAffinity(0, mask), 0)
      return startShard(() => {
        const found = new Uint8Array(8)
        currentKernel().getAffinity(0, found)
        return found[0]
      }, id)
    })
    mask[0] = 0xf
    kernel.setAffinity(0, mask)
    await letGo(shards)
    await Promise.all(shards.map(({ ended }) => ended))
    return shards.map(({ messages }) => resultOf(messages.at(-1)))
  })

  assert.deepEqual(masks, [1, 2])
})
