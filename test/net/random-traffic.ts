/** Traffic that is cancelled at random, from a seed, and checks every byte. */
import assert from 'node:assert/strict'
import { Lease } from '../../src/memory/index.ts'
import type { TcpStream } from '../../src/net/index.ts'
import { type Cancels, STOPPED } from '../hazards/cancels.ts'
import { assertPattern, pattern } from './support.ts'

/**
 * Writes the pattern; what is withdrawn is written again. Ends when cut, or after so many calls.
 *
 * Returns how many bytes were written for certain.
 */
export async function writeRandomly(
  stream: TcpStream,
  cancels: Cancels,
  callCount: number,
): Promise<number> {
  const { prng } = cancels
  let position = 0
  for (let call = 0; call < callCount; call++) {
    const size = prng.chance(0.02) ? prng.int(1, 300_000) : prng.int(1, 3000)
    const data = pattern(position, size)
    try {
      const outcome = await cancels.attempt((signal) => stream.write(data, { signal }))
      if (outcome !== STOPPED) position += size
    } catch (error) {
      assert.equal((error as { code: string }).code, 'ERR_HANDLE_CLOSED')
      break
    }
  }
  await stream.close()
  return position
}

/** How many chunks and leases a reader keeps, to look at them again much later. */
const KEPT_MAX = 12

/**
 * Reads to the end in every way, giving up at random; every byte must be the pattern's, also of what is
 * kept for long. Returns their count.
 */
export async function readRandomly(stream: TcpStream, cancels: Cancels): Promise<number> {
  const { prng } = cancels
  const kept: { readonly chunk: Uint8Array | Lease; readonly position: number }[] = []
  const drop = (): void => {
    const { chunk, position } = kept.splice(prng.int(0, kept.length - 1), 1)[0]!
    assertPattern(chunk instanceof Lease ? chunk.bytes : chunk, position)
    if (chunk instanceof Lease) chunk.release()
  }
  let position = 0
  try {
    for (;;) {
      const chunk = await readSomehow(stream, cancels)
      if (chunk === STOPPED) continue
      if (chunk === null) break
      kept.push({ chunk, position })
      position += chunk instanceof Lease ? chunk.lengthBytes : chunk.length
      if (kept.length > KEPT_MAX || prng.chance(0.3)) drop()
    }
  } finally {
    while (kept.length > 0) drop()
  }
  await stream.close()
  return position
}

async function readSomehow(
  stream: TcpStream,
  cancels: Cancels,
): Promise<Uint8Array | Lease | null | typeof STOPPED> {
  const { prng } = cancels
  if (prng.chance(0.3)) return await cancels.attempt((signal) => stream.read({ signal }))
  if (prng.chance(0.5)) return await cancels.attempt((signal) => stream.readLease({ signal }))
  const target = new Uint8Array(prng.int(1, 2000))
  const count = await cancels.attempt((signal) => stream.readInto(target, { signal }))
  if (count === STOPPED) return STOPPED
  return count === 0 ? null : target.subarray(0, count)
}
