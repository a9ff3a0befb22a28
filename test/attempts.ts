/** For claims about time: what a busy machine spoils is measured again, what is wrong never comes out right. */
import assert from 'node:assert/strict'

/**
 * Measures until the claim holds, each time on twice the scale, on which what others do counts less.
 *
 * For claims that a fault breaks on every attempt, by a factor: not for races, which come out right by luck.
 */
export async function attempt<T>(
  measure: (scale: number) => T | Promise<T>,
  isRight: (value: T) => boolean,
  count = 4,
): Promise<void> {
  const values: T[] = []
  for (let i = 0; i < count; i++) {
    const value = await measure(2 ** i)
    if (isRight(value)) return
    values.push(value)
  }
  assert.fail(`measured ${values.join(', ')}`)
}
