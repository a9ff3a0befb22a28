/** Traffic that is cancelled at random, from a seed, and checks every byte. */
import assert from 'node:assert/strict'
import type { Prng } from '../../src/base/index.ts'
import { yieldNow } from '../../src/executor/index.ts'
import type { TcpStream } from '../../src/net/index.ts'
import { assertPattern, pattern } from './support.ts'

/** Why a wait was given up. */
export const ABORTED: Error = new Error('aborted')

/** A signal that is aborted some turns later, or not at all. */
export function randomSignal(prng: Prng): AbortSignal | undefined {
  if (prng.chance(0.4)) return undefined
  const controller = new AbortController()
  const delay = prng.int(0, 6)
  void (async () => {
    for (let turn = 0; turn < delay; turn++) await yieldNow()
    controller.abort(ABORTED)
  })()
  return controller.signal
}

/**
 * Writes the pattern; what is withdrawn is written again. Ends when cut, or after so many calls.
 *
 * Returns how many bytes were written for certain.
 */
export async function writeRandomly(
  stream: TcpStream,
  prng: Prng,
  callCount: number,
): Promise<number> {
  let position = 0
  for (let call = 0; call < callCount; call++) {
    const size = prng.chance(0.05) ? prng.int(1, 400_000) : prng.int(1, 3000)
    try {
      await stream.write(pattern(position, size), { signal: randomSignal(prng) })
      position += size
    } catch (error) {
      if (error === ABORTED) continue
      assert.equal((error as { code: string }).code, 'ERR_HANDLE_CLOSED')
      break
    }
  }
  await stream.close()
  return position
}

/** Reads to the end, giving up at random; every byte must be the pattern's. Returns their count. */
export async function readRandomly(stream: TcpStream, prng: Prng): Promise<number> {
  let position = 0
  for (;;) {
    try {
      const chunk = await stream.read({ signal: randomSignal(prng), copy: prng.chance(0.3) })
      if (chunk === null) break
      assertPattern(chunk, position)
      position += chunk.length
    } catch (error) {
      if (error !== ABORTED) throw error
    }
  }
  await stream.close()
  return position
}
