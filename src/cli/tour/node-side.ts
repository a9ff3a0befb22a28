/** The tour's measures with Node's own modules, in a process that has no part of percore in it. */

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { answerOrders } from './answers.ts'
import {
  BLOCK_BYTES,
  BLOCK_WORDS,
  BURST_MS,
  checkBlock,
  type EchoArgs,
  MESSAGE_BYTES,
  measureRate,
  nextDueMs,
  percentile,
  type Rate,
  type ReadArgs,
  remainingMs,
  type StartDelayArgs,
  type StartDelayResult,
  workOneUnit,
} from './measures.ts'

const PAGE_BYTES = 65_536

/** Declared here, as neither the ES library nor Node's types of version 20 name it. */
declare const WebAssembly: {
  readonly Memory: new (limits: { readonly initial: number }) => { readonly buffer: ArrayBuffer }
}

answerOrders({ reads, echo, startDelay })

async function reads(args: ReadArgs): Promise<Rate> {
  const { path, sizeBytes, depth, durationMs, isDirect } = args
  const blockCount = sizeBytes / BLOCK_BYTES
  // WebAssembly's memory starts at a page, as O_DIRECT wants; a Buffer's may not.
  const pageCount = Math.ceil((depth * BLOCK_BYTES) / PAGE_BYTES)
  const { buffer } = new WebAssembly.Memory({ initial: pageCount })
  const bytes = new Uint8Array(buffer)
  const words = new Uint32Array(buffer)
  const handle = await open(path, constants.O_RDONLY | (isDirect ? constants.O_DIRECT : 0))
  const readOn = async (slot: number, clock: { isOver: boolean }): Promise<number> => {
    let count = 0
    while (!clock.isOver) {
      const block = Math.floor(Math.random() * blockCount)
      await handle.read(bytes, slot * BLOCK_BYTES, BLOCK_BYTES, block * BLOCK_BYTES)
      checkBlock(words, slot * BLOCK_WORDS, block)
      count++
    }
    return count
  }
  const slots = Array.from({ length: depth }, (_, slot) => slot)
  try {
    return await measureRate(durationMs, (clock) => slots.map((slot) => readOn(slot, clock)))
  } finally {
    await handle.close()
  }
}

async function echo({ connections, durationMs }: EchoArgs): Promise<Rate> {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('data', (chunk) => socket.write(chunk))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const clients = await Promise.all(Array.from({ length: connections }, () => connectTo(port)))
  try {
    return await measureRate(durationMs, (clock) => clients.map((client) => talk(client, clock)))
  } finally {
    for (const client of clients) client.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
}

function connectTo(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true }, () => resolve(socket))
    socket.once('error', reject)
  })
}

/** By events, as the fastest programs of Node do: no promise and no stream iterator per message. */
function talk(client: Socket, clock: { isOver: boolean }): Promise<number> {
  const message = new Uint8Array(MESSAGE_BYTES).fill(7)
  return new Promise((resolve, reject) => {
    let count = 0
    let received = 0
    client.on('error', reject)
    client.on('data', (chunk) => {
      if (chunk[0] !== 7) reject(new Error('Cannot go on: the echo was wrong'))
      received += chunk.length
      if (received < MESSAGE_BYTES) return
      received = 0
      count++
      if (clock.isOver) resolve(count)
      else client.write(message)
    })
    client.write(message)
  })
}

/** The same work as percore's; it lets others run after each burst, by setImmediate. */
async function startDelay({ durationMs }: StartDelayArgs): Promise<StartDelayResult> {
  const endMs = performance.now() + durationMs
  const [delaysMs, unitCount] = await Promise.all([startOnTime(endMs), workInBursts(endMs)])
  return {
    p50Ms: percentile(delaysMs, 0.5),
    p99Ms: percentile(delaysMs, 0.99),
    unitsPerSecond: unitCount / (durationMs / 1_000),
  }
}

function workInBursts(endMs: number): Promise<number> {
  return new Promise((resolve) => {
    let count = 0
    const workOn = (): void => {
      count += workOneBurst(Math.min(performance.now() + BURST_MS, endMs))
      if (performance.now() < endMs) setImmediate(workOn)
      else resolve(count)
    }
    setImmediate(workOn)
  })
}

function workOneBurst(untilMs: number): number {
  let count = 0
  do {
    workOneUnit()
    count++
  } while (performance.now() < untilMs)
  return count
}

function startOnTime(endMs: number): Promise<number[]> {
  return new Promise((resolve) => {
    const delaysMs: number[] = []
    let dueMs = performance.now()
    const plan = (): void => {
      if (performance.now() >= endMs) {
        resolve(delaysMs)
        return
      }
      dueMs = nextDueMs(dueMs, performance.now())
      setTimeout(start, remainingMs(dueMs, performance.now()))
    }
    const start = (): void => {
      // A timer of Node's may come a fraction of a millisecond early.
      delaysMs.push(Math.max(0, performance.now() - dueMs))
      plan()
    }
    plan()
  })
}
