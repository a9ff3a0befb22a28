import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { attachExecutor, executor } from '../../src/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { type Run, runProgram } from './stall-support.ts'

const run = (...words: string[]): Run => runProgram('stall-program.js', words)

function withGate<T>(body: (gate: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'percore-stall-'))
  return body(join(folder, 'gate')).finally(() => rmSync(folder, { recursive: true }))
}

const PLACES = ['main', 'worker']

test('detectStalls() reports a turn over its budget once, though a microtask goes on in it', async () => {
  const { lines, code } = await run('once').end

  assert.equal(code, 0)
  assert.equal(lines.length, 1)
  const [stall] = lines
  assert.equal(stall!.executor, 'watched')
  assert.equal(stall!.queue, 'serving')
  assert.equal(stall!.budgetMs, 20)
  assert.equal(stall!.ongoing, false)
  assert.ok(stall!.durationMs >= 120)
  // A machine that is busy enough gives the watchdog no CPU in time, and it says so.
  assert.match(stall!.stack, /first|ended before/)
})

test('detectStalls() writes a line to standard error by default', async () => {
  const { stderr, code } = await run('default').end

  assert.equal(code, 0)
  assert.match(stderr, /^percore: a turn of task queue 'serving' of executor 'watched' took /m)
})

test('detectStalls() reports stalls of the default queue, in which reports are delivered', async () => {
  const { lines, code, stderr } = await run('defaultQueue').end

  assert.equal(code, 0, stderr)
  assert.deepEqual(lines, [{ isDone: true }])
})

test('detectStalls() reports no turn within its budget, and no sleep', async () => {
  const { lines, stderr } = await run('under').end

  assert.deepEqual(lines, [])
  assert.equal(stderr, '')
})

test('detectStalls() reports nothing once it is ended with null', async () => {
  const { lines } = await run('off').end

  assert.deepEqual(lines, [])
})

test('detectStalls() goes by the options it was given last', async () => {
  const { lines } = await run('again').end

  assert.deepEqual(
    lines.map(({ budgetMs }) => budgetMs),
    [20],
  )
})

for (const place of PLACES) {
  test(`detectStalls() lets an idle program end, in a ${place} thread`, async () => {
    const { code, stderr } = await run('idle', place).end

    assert.equal(code, 0)
    assert.equal(stderr, '')
  })

  test(`detectStalls() reports a turn that never ends with its stack, in a ${place} thread`, async () => {
    const running = run('forever', place)

    const stderr = await running.errorMatches(/at stuckForEver/)

    assert.match(stderr, /task queue 'serving' of executor 'watched' has not ended after/)
    running.child.kill('SIGKILL')
    await running.end
  })

  test(`detectStalls() reports a turn that waits for ever in Atomics.wait(), in a ${place} thread`, async () => {
    const running = run('native', place)

    await running.errorMatches(/at stuckInAtomics/)

    running.child.kill('SIGKILL')
    await running.end
  })

  test(`onStall gets a stall that was written already once it is over, in a ${place} thread`, async () => {
    await withGate(async (gate) => {
      const running = run('back', place, gate)
      await running.errorMatches(/at stuckUntilGate/)

      writeFileSync(gate, '')

      const { lines, code } = await running.end
      assert.equal(code, 0)
      assert.equal(lines.length, 1)
      assert.equal(lines[0]!.isWritten, true)
      assert.equal(lines[0]!.ongoing, false)
      assert.match(lines[0]!.stack, /at stuckUntilGate/)
    })
  })

  test(`a program that ends in a stalled turn reports it as ongoing, in a ${place} thread`, async () => {
    const { lines, code } = await run('exit', place).end

    assert.equal(code, place === 'main' ? 7 : 0)
    assert.deepEqual(
      lines.map(({ queue, ongoing }) => ({ queue, ongoing })),
      [{ queue: 'serving', ongoing: true }],
    )
  })
}

test('detectStalls() does not write a stall again that its watchdog has written', async () => {
  await withGate(async (gate) => {
    const running = run('backDefault', 'main', gate)
    await running.errorMatches(/at stuckUntilGate/)

    writeFileSync(gate, '')

    // A thread that is slow to answer has it written twice: before there is a stack, and with it.
    const { stderr } = await running.end
    const written = stderr.match(/has not ended after/g)?.length
    assert.equal(written, stderr.includes('(no stack:') ? 2 : 1)
    assert.doesNotMatch(stderr, /serving' of executor 'watched' took/)
  })
})

test('an error of onStall is an uncaught exception, and no end of the executor', async () => {
  const { lines, code } = await run('throwing').end

  assert.equal(code, 0)
  assert.deepEqual(lines, [{ uncaught: 'of the handler' }])
})

test('each of several executors reports its own stalls only', async () => {
  const { lines } = await run('many').end

  const found = lines.map(({ executor: name, queue }) => `${name}: ${queue}`).sort()
  assert.deepEqual(found, ['a: serving a', 'b: serving b', 'main: serving main'])
})

test('detectStalls() reports a turn again, with its stack, once the native call that held that up returns', async () => {
  await withGate(async (gate) => {
    const running = run('late', 'main', gate)
    await running.errorMatches(/no stack: the thread is in a native call/)

    writeFileSync(gate, '')
    await running.errorMatches(/at stuckAfterNative/)

    running.child.kill('SIGKILL')
    await running.end
  })
})

test('worker.terminate() ends a stuck thread that is watched', async () => {
  const running = run('terminate')
  await running.errorMatches(/at stuckForEver/)

  running.child.stdin!.end('now')

  const { lines, code } = await running.end
  assert.equal(code, 0)
  assert.deepEqual(lines, [{ exitCode: 1 }])
})

test('detectStalls() throws for options of the wrong kind', () => {
  const current = executor()
  const detect = (options: unknown) => () => current.detectStalls(options as null)

  assert.throws(detect(5), TypeError)
  assert.throws(detect(undefined), TypeError)
  assert.throws(detect({ budgetMs: '5' }), TypeError)
  assert.throws(detect({ budgetMs: 0.5 }), RangeError)
  assert.throws(detect({ budgetMs: Number.NaN }), RangeError)
  assert.throws(detect({ onStall: 5 }), TypeError)
})

test('attachExecutor() refuses stall options of the wrong kind, and attaches nothing', async () => {
  await executor().close()

  assert.throws(() => attachExecutor({ detectStalls: { budgetMs: -1 } }), RangeError)

  await attachExecutor().close()
})

test('detectStalls() throws ERR_UNSUPPORTED on a simulated kernel', async () => {
  await simulate(1, ({ executor: simulated }) => {
    assert.throws(() => simulated.detectStalls({}), { code: 'ERR_UNSUPPORTED' })
  })
})
