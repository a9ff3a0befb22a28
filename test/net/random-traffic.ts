/** Traffic that is cancelled at random, from a seed, and checks every byte. */
import assert from 'node:assert/strict'
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

/** Reads to the end, giving up at random; every byte must be the pattern's. Returns their count. */
export async function readRandomly(stream: TcpStream, cancels: Cancels): Promise<number> {
  const { prng } = cancels
  let position = 0
  for (;;) {
    const copy = prng.chance(0.3)
    const chunk = await cancels.attempt((signal) => stream.read({ signal, copy }))
    if (chunk === STOPPED) continue
    if (chunk === null) break
    assertPattern(chunk, position)
    position += chunk.length
  }
  await stream.close()
  return position
}
