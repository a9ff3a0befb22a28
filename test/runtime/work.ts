/** What drivers are given in tests. */
import { executor } from '../../src/index.ts'
import { sleep } from '../../src/time/index.ts'

export function whereAmI(): { name: string; queue: string } {
  return { name: executor().name, queue: executor().currentQueue().name }
}

export function double(value: number): number {
  return value * 2
}

export function fail(): never {
  throw Object.assign(new RangeError('not today'), { code: 'ERR_MINE' })
}

export function answerFunction(): unknown {
  return () => {}
}

export async function waitForEver(): Promise<void> {
  await sleep(1e9)
}

export async function waitFor(words: Int32Array): Promise<string> {
  Atomics.store(words, 1, 1)
  while (Atomics.load(words, 0) === 0) await sleep(1)
  return 'waited'
}

export function exit(): never {
  process.exit(9)
}

export const notAFunction = 3
