import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { setImmediate as nextRound } from 'node:timers/promises'
import { executor } from '../../src/executor/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { netRingFor } from '../../src/net/memory/net-ring.ts'

/** Both ends of a connection, and what it came through. */
export class Pair implements AsyncDisposable {
  readonly listener: TcpListener
  readonly client: TcpStream
  readonly server: TcpStream

  private constructor(listener: TcpListener, client: TcpStream, server: TcpStream) {
    this.listener = listener
    this.client = client
    this.server = server
  }

  static async open(): Promise<Pair> {
    const listener = await TcpListener.bind({ port: 0 })
    const accepting = listener.accept()
    const client = await TcpStream.connect({ port: listener.address.port })
    return new Pair(listener, client, await accepting)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close()
    await this.server.close()
    await this.listener.close()
  }
}

/** What a test may leave behind: nothing. */
export interface Holdings {
  readonly fdCount: number
  readonly operationCount: number
  readonly bufferCount: number
}

export function holdings(): Holdings {
  const current = executor()
  return {
    fdCount: readdirSync('/proc/self/fd').length,
    operationCount: current.stats().inFlightCount,
    bufferCount: netRingFor(current, current.defaultQueue).userCount,
  }
}

/** Waits until `condition` holds, which must come to be. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await nextRound()
}

/** Byte number `position` of every stream that is checked. */
export function patternAt(position: number): number {
  return (position * 31 + (position >>> 8) * 7) & 255
}

export function pattern(startBytes: number, lengthBytes: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(lengthBytes)
  for (let index = 0; index < lengthBytes; index++) bytes[index] = patternAt(startBytes + index)
  return bytes
}

/** Fails unless `chunk` is what the pattern has at `startBytes`. */
export function assertPattern(chunk: Uint8Array, startBytes: number): void {
  for (let index = 0; index < chunk.length; index++) {
    if (chunk[index] !== patternAt(startBytes + index)) {
      assert.fail(`byte ${startBytes + index} is ${chunk[index]}`)
    }
  }
}

/** Reads `lengthBytes` and checks them. */
export async function readPattern(stream: TcpStream, lengthBytes: number): Promise<void> {
  let position = 0
  while (position < lengthBytes) {
    const chunk = await stream.read()
    assert.ok(chunk !== null, `the stream ended at ${position}`)
    assertPattern(chunk, position)
    position += chunk.length
  }
  assert.equal(position, lengthBytes)
}

/** Sends all back until the peer ends. */
export async function echo(stream: TcpStream): Promise<void> {
  try {
    for await (const chunk of stream) await stream.write(chunk)
  } finally {
    await stream.close()
  }
}

/** Echoes on every connection; a connection that fails ends alone. */
export async function echoAll(listener: TcpListener): Promise<void> {
  for await (const stream of listener) echo(stream).catch(ignore)
}

export function ignore(): void {}
