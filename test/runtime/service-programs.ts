/** What shards run in tests of services: `argument.do` says which of it, `argument.words` is what all of them see. */
import assert from 'node:assert/strict'
import { spawn } from '../../src/index.ts'
import type { Shard, ShardedService } from '../../src/runtime/index.ts'
import { sleep } from '../../src/time/index.ts'
import {
  dependent,
  egg,
  hen,
  noObject,
  ordered,
  type Probe,
  probe,
  uneven,
  type Wanted,
  WORD_ABORTED,
  WORD_BEGUN,
  WORD_ENDED,
  WORD_MADE,
} from './service-definitions.ts'

type Program = (shard: Shard<Wanted>) => Promise<unknown>

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await sleep(1)
}

/** Until all shards have called this. */
async function allAreHere({ argument, count }: Shard<Wanted>, round = 1): Promise<void> {
  Atomics.add(argument.words, WORD_BEGUN, 1)
  await until(() => Atomics.load(argument.words, WORD_BEGUN) >= count * round)
}

/** What a promise rejects with. */
async function errorOf(promise: Promise<unknown>): Promise<Record<string, unknown>> {
  const error = await promise.then(
    () => assert.fail('it must reject'),
    (error: unknown) => error,
  )
  const { name, message, code, hasNotRun, stack, cause } = error as Record<string, unknown>
  return { name, message, code, hasNotRun, stack, cause: (cause as Error | undefined)?.message }
}

function start(shard: Shard<Wanted>): Promise<ShardedService<Probe>> {
  return probe.start(shard, 100)
}

export const PROGRAMS: Record<string, Program> = {
  async callAll(shard) {
    await using service = await start(shard)
    const to = (shard.id + 1) % shard.count
    const who = await service.on(to).whoAmI()
    const all = await service.onAll('add', shard.id + 1)
    const ids = await service.mapReduce('whoAmI', [], (list, [id]) => [...list, id], [] as number[])
    const sum = await service.submitTo(to, 'echo', [{ map: new Map([[1, new Date(2)]]) }])
    return { who, count: all.length, ids, sum, local: service.local.id, base: service.local.base }
  },

  async copies(shard) {
    await using service = await start(shard)
    const list = [1]
    const changed = await service.onAll('change', list)
    return { list, changed, undefined: (await service.on(shard.id).nothing()) === undefined }
  },

  async errors(shard) {
    await using service = await start(shard)
    if (shard.id !== 0) return null
    const found: unknown[] = []
    for (const to of [0, 1]) {
      found.push(await errorOf(service.on(to).fail()))
      found.push(await errorOf(service.on(to).answerFunction()))
      found.push(await errorOf(service.on(to).echo(() => {})))
      found.push(
        await service
          .on(to)
          .failWith({ plain: 1 })
          .catch((error: unknown) => error),
      )
    }
    found.push(await errorOf(service.submitTo(0, 'nope' as 'fail', [])))
    found.push(await errorOf(service.submitTo(9, 'fail', [])))
    found.push(await errorOf(service.submitTo(0, 'echo', 'x' as never)))
    found.push(await errorOf(service.onAll('fail')))
    assert.throws(() => service.on(2), RangeError)
    assert.throws(() => service.on(0, { nope: 1 } as never), TypeError)
    return found
  },

  async large(shard) {
    await using service = await start(shard)
    const bytes = new Uint8Array(300_000).fill(shard.id + 1)
    const answers = await Promise.all(
      [0, 1, 0, 1].map(async (to) => {
        const [length, echoed] = await Promise.all([
          service.on(to).lengthOf(bytes),
          service.on(to).echo(bytes),
        ])
        return length === bytes.length && Buffer.compare(echoed as Uint8Array, bytes) === 0
      }),
    )
    return answers.every(Boolean)
  },

  async cancels(shard) {
    await using service = await start(shard)
    if (shard.id !== 0) return null
    const { words } = shard.argument
    const found: unknown[] = []
    for (const to of [0, 1]) {
      const controller = new AbortController()
      const { signal } = controller
      Atomics.store(words, WORD_BEGUN, 0)
      Atomics.store(words, WORD_ABORTED, 0)
      // Four are under way; these wait in line.
      const running = [1, 2, 3, 4].map(() => spawn(() => service.on(to).waitForEver()))
      await until(() => Atomics.load(words, WORD_BEGUN) === 4)
      const inLine = service.on(to, { signal }).add(1)
      const late = service.on(to, { timeoutMs: 5 }).add(1)
      const behind = service.on(to).sum()
      found.push((await errorOf(late)).code)
      controller.abort(new Error('enough'))
      found.push((await errorOf(inLine)).message)
      found.push((await errorOf(service.on(to, { signal }).add(1))).message)
      for (const task of running) await task.cancel()
      found.push(await behind)
      await until(() => Atomics.load(words, WORD_ABORTED) === 4)
      found.push(Atomics.load(words, WORD_BEGUN))
    }
    return found
  },

  async overload(shard) {
    await using service = await start(shard)
    const to = shard.count - 1
    const order: number[] = []
    await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        await service.on(to).busy()
        order.push(index)
      }),
    )
    assert.deepEqual(
      order,
      [...order].sort((a, b) => a - b),
    )
    return await service.on(to).runningMax()
  },

  async relays(shard) {
    await using service = await start(shard)
    const next = (shard.id + 1) % shard.count
    const path = Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? next : shard.id))
    // Many more than may be under way at once, on all shards at the same time.
    const lengths = await Promise.all(
      Array.from({ length: 20 }, () => service.on(shard.id).relay(path)),
    )
    assert.deepEqual(new Set(lengths), new Set([20]))
    const { code, hasNotRun } = await errorOf(service.on(next).circle())
    return { code, hasNotRun }
  },

  async groups(shard) {
    await using others = await dependent.start(shard)
    await using service = await probe.start(shard, 5)
    const tasks = [1, 2, 3, 4, 5].map(() => spawn(() => service.on(1).waitForEver()))
    const { words } = shard.argument
    if (shard.id === 0) await until(() => Atomics.load(words, WORD_BEGUN) === 4 * shard.count)
    // Calls of that service to shard 1 wait in line by now, but not those that another one's calls make.
    const answer = shard.id === 0 ? await others.on(1).ask(1) : 0
    if (shard.id === 0) Atomics.store(words, WORD_MADE, 1)
    else await until(() => Atomics.load(words, WORD_MADE) === 1)
    for (const task of tasks) await task.cancel()
    return answer
  },

  async startFails(shard) {
    const error = await errorOf(ordered.start(shard))
    await allAreHere(shard)
    return error
  },

  async startDiffers(shard) {
    const [outcome] = await Promise.allSettled([probe.start(shard, shard.id)])
    await allAreHere(shard)
    if (outcome.status === 'rejected') return errorOf(Promise.reject(outcome.reason))
    await outcome.value.stop()
    return outcome.value.local.base
  },

  async startUneven(shard) {
    const error = await errorOf(uneven.start(shard))
    const other = await errorOf(noObject.start(shard))
    await allAreHere(shard)
    return [error.code, other.code, other.cause]
  },

  /** Both at the same time, on different shards. */
  async startCircle(shard) {
    const error = await errorOf(shard.id === 0 ? egg.start(shard) : hen.start(shard))
    await allAreHere(shard)
    // What has failed can be tried again, and fails again.
    const again = await errorOf(egg.start(shard))
    await allAreHere(shard, 2)
    return [error.code, again.code]
  },

  /** Shard 1 comes again with an instance that needs one of another service there. */
  async crashDependent(shard) {
    const { words } = shard.argument
    const service = await dependent.start(shard)
    if (shard.id === 1) {
      if (shard.generation === 1) {
        await until(() => Atomics.load(words, WORD_BEGUN) > 0)
        throw new Error('crash')
      }
      await service.stop()
      return 'back'
    }
    Atomics.add(words, WORD_BEGUN, 1)
    await until(() => shard.peers[1]!.generation === 2)
    const answer = await service.on(1).ask(1)
    await service.stop()
    return answer
  },

  async stops(shard) {
    const service = await ordered.start(shard)
    const calls = [0, 1].map((to) => service.on(to).slow())
    let ended = 0
    for (const call of calls) void call.then(() => ended++)
    await service.stop()
    assert.equal(ended, 2)
    await service.stop()
    const { code, hasNotRun } = await errorOf(service.on(0).slow())
    // All of it once more: what has stopped can be started.
    await until(() => Atomics.load(shard.argument.words, WORD_ENDED) >= 2)
    await using again = await ordered.start(shard)
    await again.on(1).slow()
    return { code, hasNotRun }
  },

  async stopFails(shard) {
    const service = await ordered.start(shard)
    return await service.stop().then(
      () => 'stopped',
      (error: Error) => error.message,
    )
  },

  /** Each ends when it likes, and is called by the others until they end, too. */
  async leavesBehind(shard) {
    const service = await start(shard)
    if (shard.id === 0) return 'early'
    await sleep(20)
    for (let index = 0; index < 20; index++) assert.deepEqual((await service.on(0).whoAmI())[0], 0)
    return 'late'
  },

  /** One alone starts it; the others do not know, and have nothing to do. */
  async oneStarts(shard) {
    if (shard.id !== 0) {
      await new Promise<void>((resolve) => shard.signal.addEventListener('abort', () => resolve()))
      return (await errorOf(Promise.reject(shard.signal.reason))).code
    }
    const service = await start(shard)
    const ids = await service.onAll('whoAmI')
    await service.stop()
    return ids.map(([id]) => id)
  },

  /** Waits for what never comes, when the pool is stopped. */
  async waits(shard) {
    const service = await start(shard)
    await service.on((shard.id + 1) % shard.count).waitForEver()
  },

  /** Shard 1 dies in its first generation, with calls under way and in line; another takes its place. */
  async crash(shard) {
    const service = await start(shard)
    if (shard.id === 1) return await dieOnce(service, shard)
    const found = await callThroughCrash(service, shard)
    const isBack = (): Promise<boolean> =>
      service
        .on(1)
        .sum()
        .then(
          () => true,
          () => false,
        )
    while (!(await isBack())) await sleep(1)
    const answer = await service.on(1).add(1)
    // Told by another way, maybe later.
    await until(() => shard.peers[1]!.generation === 2)
    return { ...found, answer }
  },

  async crashForGood(shard) {
    const service = await start(shard)
    if (shard.id === 1) return await dieOnce(service, shard)
    const found = await callThroughCrash(service, shard)
    const { code, hasNotRun } = await errorOf(service.on(1).sum())
    await service.on(0).sum()
    // What is left of it stops.
    await service.stop()
    return { ...found, down: { code, hasNotRun } }
  },

  /** Calls all others until one of them has ended, at whatever moment. */
  async terminated(shard) {
    const { words } = shard.argument
    const service = await start(shard).catch((error: unknown) => {
      assert.equal((error as { code: string }).code, 'ERR_SERVICE_START_FAILED')
      return null
    })
    if (service === null) {
      await until(() => Atomics.load(words, WORD_ABORTED) > 0)
      return 'told'
    }
    let sum = 0
    for (;;) {
      try {
        sum += (await service.onAll('add', 1)).length
        Atomics.add(words, WORD_BEGUN, 1)
      } catch (error) {
        assert.equal((error as { code: string }).code, 'ERR_SHARD_FAILED')
        break
      }
    }
    assert.equal(sum % shard.count, 0)
    // Those that are left are as they were.
    assert.equal((await service.on(shard.id === 0 ? 2 : 0).whoAmI())[1], shard.id)
    await service.stop()
    return 'told'
  },

  /** The shard exits as others wait for it, and are called by it. */
  async exits(shard) {
    const service = await start(shard)
    if (shard.id === 1) {
      void service
        .on(0)
        .waitForEver()
        .catch(() => {})
      await until(() => Atomics.load(shard.argument.words, WORD_BEGUN) > 0)
    }
    await errorOf(service.on(1).exit() as Promise<unknown>)
    // The call that it has left is cancelled.
    await until(() => Atomics.load(shard.argument.words, WORD_ABORTED) > 0)
    return 'told'
  },
}

async function dieOnce(service: ShardedService<Probe>, shard: Shard<Wanted>): Promise<string> {
  if (shard.generation > 1) {
    await service.stop()
    return 'done'
  }
  await until(() => Atomics.load(shard.argument.words, WORD_BEGUN) === 4)
  await sleep(5)
  throw new Error('crash')
}

async function callThroughCrash(
  service: ShardedService<Probe>,
  shard: Shard<Wanted>,
): Promise<{ codes: unknown[]; hasNotRun: unknown[] }> {
  const underWay = [1, 2, 3, 4].map(() => errorOf(service.on(1).waitForEver()))
  const inLine = errorOf(service.on(1).add(1))
  await until(() => Atomics.load(shard.argument.words, WORD_BEGUN) === 4)
  const found = await Promise.all([...underWay, inLine])
  return {
    codes: found.map(({ code }) => code),
    hasNotRun: found.map(({ hasNotRun }) => hasNotRun),
  }
}

export default async function run(shard: Shard<Wanted>): Promise<unknown> {
  return await PROGRAMS[shard.argument.do]!(shard)
}
