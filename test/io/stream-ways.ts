/** The three ways to take what a reader of a file has, and what a writer makes of one. */

import assert from 'node:assert/strict'
import type { FileReader } from '../../src/io/index.ts'

export async function readAll(reader: FileReader): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of reader) chunks.push(chunk)
  return Buffer.concat(chunks)
}

export async function pullAll(reader: FileReader): Promise<Buffer> {
  const chunks: Buffer[] = []
  for (let lease = await reader.pull(); lease !== null; lease = await reader.pull()) {
    assert.ok(lease.lengthBytes > 0)
    chunks.push(Buffer.from(lease.bytes))
    lease.release()
  }
  return Buffer.concat(chunks)
}

export async function leaseAll(reader: FileReader): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const lease of reader.leases()) chunks.push(Buffer.from(lease.bytes))
  return Buffer.concat(chunks)
}

/** What a file is like, as far as somebody writes it. */
export class Model {
  bytes: Uint8Array
  position: number

  constructor(bytes: Uint8Array, position: number) {
    this.bytes = bytes
    this.position = position
  }

  write(data: Uint8Array): void {
    if (data.length === 0) return
    const grown = new Uint8Array(Math.max(this.bytes.length, this.position + data.length))
    grown.set(this.bytes)
    grown.set(data, this.position)
    this.bytes = grown
    this.position += data.length
  }
}
