/**
 * What the system refuses is an error with a code, a cause and a cure, and the process goes on.
 *
 * Proof that these can fail: they fail with a constructor that lets the kernel's own error through, or
 * that forgets to leave the event loop.
 */

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { runChild, success } from './child.ts'

const folder = mkdtempSync(join(tmpdir(), 'percore-resources-'))
after(() => rmSync(folder, { recursive: true }))

/** Tries to attach, says how that went, and then uses the rest of Node. */
const TRY = `
  const attempt = () => {
    try { percore.executor(); return 'attached' } catch (error) { return error }
  }
  const refuse = (error) => console.log(error.code ?? error, '|', error.message, '|', error.cause?.code)
  const goOn = async () => {
    await new Promise((resolve) => setTimeout(resolve, 5))
    await Promise.resolve()
    console.log('on')
  }
`

/** Runs what follows where every io_uring call is refused with the error number given. */
const REFUSE_C = `
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv) {
  if (argc < 3) return 99;
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 425, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)atoi(argv[1])),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return 98;
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 97;
  execvp(argv[2], argv + 2);
  return 96;
}
`

function compileRefuse(): string | null {
  const source = join(folder, 'refuse.c')
  const program = join(folder, 'refuse')
  writeFileSync(source, REFUSE_C)
  try {
    execFileSync('cc', ['-o', program, source], { stdio: 'pipe' })
    return program
  } catch {
    return null
  }
}

const refuse = compileRefuse()
const needsCc = { skip: refuse === null ? 'no C compiler, or no seccomp headers' : false }

test(
  'a ring that seccomp refuses is ERR_URING_UNAVAILABLE, with cause and cure',
  needsCc,
  async () => {
    const program = `${TRY} refuse(attempt()); refuse(attempt()); await goOn()`

    const { code, output } = await runChild(program, { launcher: [refuse!, '1'] })

    const lines = output.trimEnd().split('\n')
    assert.equal(code, 0)
    assert.equal(lines.length, 3)
    for (const line of lines.slice(0, 2)) {
      assert.match(line, /^ERR_URING_UNAVAILABLE \|.*sysctl -w kernel.io_uring_disabled=0.*seccomp/)
      assert.match(line, /EPERM$/)
    }
    assert.equal(lines[2], 'on')
  },
)

test(
  'a kernel without io_uring is ERR_URING_UNAVAILABLE, with what it needs',
  needsCc,
  async () => {
    const program = `${TRY} refuse(attempt()); await goOn()`

    const { code, output } = await runChild(program, { launcher: [refuse!, '38'] })

    assert.equal(code, 0)
    assert.match(output, /^ERR_URING_UNAVAILABLE \|.*Linux 5\.19.*\| ENOSYS\non\n$/)
  },
)

test(
  'a ring that memory is too short for is ERR_MEMLOCK_LIMIT, with the cure',
  needsCc,
  async () => {
    const program = `${TRY} refuse(attempt()); await goOn()`

    const { code, output } = await runChild(program, { launcher: [refuse!, '12'] })

    assert.equal(code, 0)
    assert.match(output, /^ERR_MEMLOCK_LIMIT \|.*ulimit -l unlimited.*\| ENOMEM\non\n$/)
  },
)

test('spawn(), sleep() and operations fail alike without a ring', needsCc, async () => {
  const program = `
    const codes = []
    for (const start of [
      () => percore.spawn(() => {}), () => time.sleep(1), () => percore.yieldNow(),
      () => percore.createTaskQueue('a'), () => operations.nop(),
    ]) {
      try { await start() } catch (error) { codes.push(error.code) }
    }
    console.log([...new Set(codes)].join(), codes.length, percore.needPreempt())
  `

  const result = await runChild(program, { launcher: [refuse!, '1'] })

  assert.deepEqual(result, success('ERR_URING_UNAVAILABLE 5 false\n'))
})

test(
  'what returns a promise rejects, and never throws, where no ring is to be had',
  needsCc,
  async () => {
    const door = (name: string): string =>
      JSON.stringify(new URL(`../../src/${name}/index.js`, import.meta.url).href)
    const program = `
    import * as sync from ${door('sync')}
    import * as channels from ${door('channels')}
    import * as io from ${door('io')}
    import * as net from ${door('net')}
    const full = channels.createChannel({ capacity: 1 })
    full.sender.trySend(1)
    const empty = channels.createChannel({ capacity: 1 })
    const gate = new sync.Gate()
    const calls = {
      yieldNow: percore.yieldNow,
      yieldQueue: percore.yieldQueue,
      scope: () => percore.scope(() => {}),
      sleep: () => time.sleep(1),
      sleepUntil: () => time.sleepUntil(1),
      timeout: () => time.timeout(1, Promise.resolve()),
      lock: () => new sync.Mutex(1).lock(),
      runExclusive: () => new sync.Mutex(1).runExclusive(() => {}),
      read: () => new sync.RwLock(1).read(),
      write: () => new sync.RwLock(1).write(),
      acquire: () => new sync.Semaphore(0).acquire(),
      event: () => new sync.Event().wait(),
      latch: () => new sync.Latch(1).wait(),
      arriveAndWait: () => new sync.Latch(2).arriveAndWait(),
      barrier: () => new sync.Barrier(2).arrive(),
      lastOfBarrier: () => new sync.Barrier(1).arrive(),
      condition: () => new sync.Condition().wait(() => false),
      gate: () => gate.close(),
      send: () => full.sender.send(2),
      receive: () => empty.receiver.receive(),
      step: () => empty.receiver[Symbol.asyncIterator]().next(),
      bind: () => net.TcpListener.bind({ port: 0 }),
      connect: () => net.TcpStream.connect({ port: 1 }),
      buffered: () => io.BufferedFile.open('/dev/null'),
      direct: () => io.DirectFile.open('/dev/null'),
    }
    const wrong = []
    for (const [name, call] of Object.entries(calls)) {
      try {
        const code = await Promise.resolve(call()).then(() => 'fulfilled', (error) => error.code)
        if (code !== 'ERR_URING_UNAVAILABLE') wrong.push([name, code])
      } catch (error) {
        wrong.push([name, 'thrown'])
      }
    }
    console.log(JSON.stringify(wrong))
  `

    assert.deepEqual(await runChild(program, { launcher: [refuse!, '1'] }), success('[]\n'))
  },
)

test('a ring without a descriptor left is EMFILE, and works once there is one', async () => {
  const program = `${TRY}
    import fs from 'node:fs'
    // The native layer is a file, too.
    await percore.executor().close()
    const open = []
    try { for (;;) open.push(fs.openSync('/dev/null', 'r')) } catch {}
    refuse(attempt())
    const used = open.length
    for (const fd of open) fs.closeSync(fd)
    console.log(used > 10, attempt())
    await operations.nop()
    await goOn()
  `

  const { code, output } = await runChild(program, {
    launcher: ['sh', '-c', 'ulimit -n 128; exec "$@"', 'sh'],
  })

  assert.equal(code, 0)
  assert.match(output, /^EMFILE \| .*io_uring_setup.*\n/)
  assert.deepEqual(output.split('\n').slice(1), ['true attached', 'on', ''])
})

test('without a descriptor for the latency ring the process goes on, and it comes later', async () => {
  const program = `
    import fs from 'node:fs'
    percore.executor()
    await operations.nop()
    const open = []
    try { for (;;) open.push(fs.openSync('/dev/null', 'r')) } catch {}
    let answers = 0
    const ask = async () => { for (let i = 0; i < 100; i++) if (percore.needPreempt()) { answers++; await percore.yieldNow() } }
    await percore.spawn(ask)
    const urgent = percore.createTaskQueue('urgent', { latency: { maxMs: 2 } })
    const failure = await percore.spawnInto(urgent, () => operations.nop()).catch((error) => error.code)
    for (const fd of open) fs.closeSync(fd)
    await percore.spawn(ask)
    console.log(failure, await percore.spawnInto(urgent, () => operations.nop()))
  `

  const result = await runChild(program, {
    launcher: ['sh', '-c', 'ulimit -n 128; exec "$@"', 'sh'],
  })

  assert.deepEqual(result, success('EMFILE 0\n'))
})

// Locked memory is counted by user: one of our own, whoever else runs these tests.
const userId = 20_000 + (process.pid % 40_000)
const asNobody = ['setpriv', `--reuid=${userId}`, `--regid=${userId}`, '--clear-groups', '--']
const canBeNobody = {
  skip:
    process.getuid?.() === 0 && spawnSync(asNobody[0]!, [...asNobody.slice(1), 'true']).status === 0
      ? false
      : 'needs root and setpriv',
}

test(
  'without lockable memory everything works, with unregistered memory',
  canBeNobody,
  async () => {
    const program = `
    const executor = percore.attachExecutor({ ringDepth: 8 })
    executor.io.registerMemory()
    await operations.nop()
    const { isRegistered } = executor.stats().ioMemory
    console.log(isRegistered, executor.io.registered.error)
    await operations.expire(1000).catch((error) => console.log(error.code))
  `

    const result = await runChild(program, {
      // Enough for a ring, and for one that Node may have.
      launcher: ['sh', '-c', 'ulimit -l 160; exec "$@"', 'sh', ...asNobody],
    })

    assert.deepEqual(result, success('false -12\nETIME\n'))
  },
)

test('I/O memory beyond its limit is ERR_OUT_OF_MEMORY, and what is released serves again', async () => {
  const program = `
    const { memory } = percore.attachExecutor({ ioMemoryBytes: 65536, ioMemoryBytesMax: 65536 })
    const leases = []
    let code
    for (;;) { try { leases.push(memory.allocate(4096)) } catch (error) { code = error.code; break } }
    for (const lease of leases) lease.release()
    console.log(code, leases.length, memory.allocate(65536).lengthBytes)
  `

  assert.deepEqual(await runChild(program), success('ERR_OUT_OF_MEMORY 16 65536\n'))
})

test('needPreempt() works without I/O memory left for its tick', async () => {
  const program = `
    const { memory } = percore.attachExecutor({ ioMemoryBytes: 65536, ioMemoryBytesMax: 65536 })
    const lease = memory.allocate(65536)
    await percore.spawn(async () => { while (!percore.needPreempt()); })
    lease.release()
    console.log('on')
  `

  assert.deepEqual(await runChild(program), success('on\n'))
})
