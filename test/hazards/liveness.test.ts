/**
 * A program ends when it is done, and not before.
 *
 * Proof that these can fail: with a hook that never references its handle the first ends early; with
 * one that never lets go of it the second does not end.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runChild, success } from './child.ts'

/** The parent writes once the child has said something. */
const onOutput = (child: { stdin: { write(text: string): void } | null }): void => {
  setTimeout(() => child.stdin?.write('x'), 50)
}

for (const [what, wait] of Object.entries({
  'a poll': 'operations.poll(0)',
  'a read': 'operations.read(0, 1)',
  'a poll of a latency queue': `percore.spawnInto(
    percore.createTaskQueue('urgent', { latency: { maxMs: 1 } }), () => operations.poll(0))`,
  'a poll that was started by a timer of Node':
    'new Promise((resolve) => setTimeout(() => resolve(operations.poll(0)), 1))',
})) {
  test(`a program stays alive for ${what}`, async () => {
    const program = `console.log('waiting'); ${wait}.then((result) => console.log(result))`

    assert.deepEqual(await runChild(program, { onOutput }), success('waiting\n1\n'))
  })
}

test('a program stays alive for a multishot poll, until that is cancelled', async () => {
  const program = `
    const { io } = percore.executor()
    const poll = new operations.MultishotPoll(0)
    process.stdout.write('waiting ')
    poll.complete = function (result, flags) {
      this.reportCount++
      console.log(result)
      if (this.reportCount === 1) io.cancel(this)
    }
  `

  assert.deepEqual(await runChild(program, { onOutput }), success('waiting 1\n-125\n'))
})

test('a program stays alive for a read while other rings post into its own', async () => {
  const program = `
    const { main } = percore.executor().io
    const read = operations.read(0, 1)
    await time.sleep(1)
    await operations.postForeign(5)
    console.log('waiting')
    read.then((result) => console.log(result, main.foreignCount))
  `

  assert.deepEqual(await runChild(program, { onOutput }), success('waiting\n1 5\n'))
})

for (const [what, code] of Object.entries({
  'an attached executor': 'percore.executor()',
  'both rings, and a tick': 'percore.executor().io.latency; percore.needPreempt()',
  'finished work': 'await Promise.all([operations.nop(), percore.spawn(() => {}), time.sleep(1)])',
  'queues, and a manager': "percore.createTaskQueue('a', { shares: { shares: () => 1 } })",
  'a waiter that nobody will grant': `
    const { Waiter } = await import(import.meta.resolve
      ? 'file://' + process.env.DOOR : '')
    new Waiter(percore.executor())`,
})) {
  test(`a program does not stay alive for ${what}`, async () => {
    const env = { DOOR: new URL('../../src/executor/index.js', import.meta.url).pathname }

    assert.deepEqual(await runChild(`${code}; console.log('end')`, { env }), success('end\n'))
  })
}

test('an executor beside an http server ends with the server', async () => {
  const program = `
    import http from 'node:http'
    const server = http.createServer((request, response) => response.end('answer')).listen(0)
    await operations.nop()
    const address = () => 'http://127.0.0.1:' + server.address().port
    setTimeout(async () => {
      console.log(await (await fetch(address())).text())
      server.close()
      server.closeAllConnections()
    }, 20)
  `

  assert.deepEqual(await runChild(program), success('answer\n'))
})

test("work that is started by 'beforeExit' is done, then the program ends", async () => {
  const program = `
    let rounds = 0
    process.on('beforeExit', () => {
      if (rounds++ < 3) operations.nop().then(() => time.sleep(1)).then(() => console.log(rounds))
    })
    await operations.nop()
  `

  assert.deepEqual(await runChild(program), success('1\n2\n3\n'))
})

test('an unsettled top-level await exits with 13', async () => {
  const result = await runChild('await operations.nop(); await new Promise(() => {})')

  assert.equal(result.code, 13)
})

test('a top-level await of an operation is waited for', async () => {
  const program = `
    await percore.spawn(async () => { await time.sleep(20); await operations.nop() })
    console.log('end')
  `

  assert.deepEqual(await runChild(program), success('end\n'))
})

test("percore works in an 'exit' handler as far as anything does there", async () => {
  const program = `
    process.on('exit', () => {
      percore.spawn(() => console.log('never'))
      operations.nop()
      console.log(percore.needPreempt() !== undefined)
    })
  `

  assert.deepEqual(await runChild(program), success('true\n'))
})
