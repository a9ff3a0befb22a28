/** A thread that is to be terminated in the middle of something. */

import { closeSync, openSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import {
  attachExecutor,
  createTaskQueue,
  executor,
  needPreempt,
  spawn,
  spawnInto,
  yieldNow,
} from '../../src/index.ts'
import { sleep } from '../../src/time/index.ts'
import { expire, MultishotPoll, nop, poll, read } from '../executor/operations.ts'
import { reactorOf } from '../reactor-of.ts'
import { churnAccepts, churnConnections, churnFiles, churnReads } from './churn.ts'

const { mode, fd, folder } = workerData as { mode: string; fd: number; folder: string }
/** What is not undefined is reported. */
const modes: Record<string, () => unknown> = {
  pending,
  parked: () => void sleep(3_600_000),
  'parked beside a timer of Node': () => {
    setInterval(() => {}, 50)
    void sleep(3_600_000)
  },
  'spinning before it parks': () => void sleep(3_600_000),
  yielding: () => {
    for (const name of ['a', 'b']) spawnInto(createTaskQueue(name), yieldForEver)
  },
  'busy and cooperative': () => void spawn(countForEver),
  'submitting no-ops': () => void spawn(submitForEver),
  'busy in one turn': () => void spawn(busyForEver),
  'holding files': holdFiles,
  'opening files': () => churnFiles(folder),
  'reading large files': () => churnReads(folder),
  'making connections': () => void churnConnections(),
  'accepting connections': churnAccepts,
  'attaching executors': () => void attachForEver(),
}

attachExecutor({ spinBeforeParkUs: mode === 'spinning before it parks' ? 60e6 : 0 })
await nop()
const report = await modes[mode]!()
await nop()
parentPort!.postMessage(report)
if (mode === 'busy in one turn') await nop()

function pending(): void {
  for (let i = 0; i < 3; i++) {
    void poll(fd)
    void read(fd, 4096)
    void expire(3600e9)
    new MultishotPoll(fd)
  }
  void sleep(3_600_000)
  spawnInto(createTaskQueue('urgent', { latency: { maxMs: 2 } }), () => void poll(fd))
  needPreempt()
}

function holdFiles(): void {
  for (let i = 0; i < 10; i++) executor().descriptors.trackFd(openFile(), true)
  // One that was closed in time must not be closed again.
  const closed = openFile()
  executor().descriptors.trackFd(closed, true)
  executor().descriptors.trackFd(closed, false)
  executor().kernel.closeFd(closed)
  void poll(fd)
}

// A descriptor that Node itself does not know, and so does not close with the thread.
function openFile(): number {
  const opened = openSync('/dev/null', 'r')
  const duplicate = executor().kernel.controlFd(opened, 1030, 0) // F_DUPFD_CLOEXEC
  closeSync(opened)
  return duplicate
}

async function attachForEver(): Promise<void> {
  for (;;) {
    executor().leave()
    attachExecutor({ ringDepth: 8, ioMemoryBytes: 64 * 1024 })
    void reactorOf(executor()).latency
    await nop()
  }
}

async function yieldForEver(): Promise<void> {
  for (;;) await yieldNow()
}

async function countForEver(): Promise<void> {
  for (;;) if (needPreempt()) await yieldNow()
}

async function submitForEver(): Promise<void> {
  for (;;) await Promise.all(Array.from({ length: 100 }, () => nop()))
}

async function busyForEver(): Promise<void> {
  await nop()
  for (;;);
}
