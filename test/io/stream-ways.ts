/** The three ways to take what a reader of a file has. */

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
