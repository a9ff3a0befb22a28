import { readFileSync } from 'node:fs'
import { parseNumberList } from '../../base/index.ts'

/** The text of a file of /proc or /sys without the last newline, or undefined if it can't be read. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trimEnd()
  } catch {
    return undefined
  }
}

/** The first group of `pattern` in a file, or undefined. */
export function readField(path: string, pattern: RegExp): string | undefined {
  return pattern.exec(readText(path) ?? '')?.[1]
}

/** The numbers of a kernel list: `0-2,5` is 0, 1, 2, 5; none where there is no list. */
export function readList(text: string | undefined): number[] {
  return parseNumberList(text ?? '') ?? []
}
