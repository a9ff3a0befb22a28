/** More than any machine has processors or nodes: a list that names more is no list of these. */
const NUMBER_MAX = 1 << 20
const RANGE = /^(\d+)(?:-(\d+)(?::(\d+)\/(\d+))?)?$/

/**
 * The numbers of a list as the kernel writes it for processors and nodes, ascending and each once:
 * `0-2,8` is 0, 1, 2, 8. Strides are understood (`0-7:1/4` is 0, 4), and so is an empty list.
 *
 * @returns null where the text is no such list, or names a number above 1,048,576.
 */
export function parseNumberList(text: string): number[] | null {
  const numbers = new Set<number>()
  const trimmed = text.trim()
  if (trimmed === '') return []
  for (const part of trimmed.split(',')) {
    const match = RANGE.exec(part.trim())
    if (match === null) return null
    const first = Number(match[1])
    const last = Number(match[2] ?? first)
    const used = Number(match[3] ?? 1)
    const group = Number(match[4] ?? 1)
    if (last < first || last > NUMBER_MAX || used < 1 || group < used) return null
    for (let number = first; number <= last; number++) {
      if ((number - first) % group < used) numbers.add(number)
    }
  }
  return [...numbers].sort((a, b) => a - b)
}

/** The list of ascending numbers that {@link parseNumberList} reads: `0-2,8`; empty for none. */
export function formatNumberList(numbers: readonly number[]): string {
  const parts: string[] = []
  for (let start = 0; start < numbers.length; ) {
    let end = start
    while (end + 1 < numbers.length && numbers[end + 1] === numbers[end]! + 1) end++
    parts.push(start === end ? `${numbers[start]}` : `${numbers[start]}-${numbers[end]}`)
    start = end + 1
  }
  return parts.join(',')
}

/** The numbers whose bits are set, from the lowest bit of the first byte on. */
export function numbersOfMask(mask: Uint8Array): number[] {
  const numbers: number[] = []
  for (let index = 0; index < mask.length; index++) {
    for (let bits = mask[index]!; bits !== 0; bits &= bits - 1) {
      numbers.push(index * 8 + 31 - Math.clz32(bits & -bits))
    }
  }
  return numbers
}

/** {@link numbersOfMask} the other way, as long as it must be in whole 64-bit words, one at least. */
export function maskOfNumbers(numbers: Iterable<number>): Uint8Array<ArrayBuffer> {
  const all = [...numbers]
  const wordCount = Math.floor(Math.max(0, ...all) / 64) + 1
  const mask = new Uint8Array(wordCount * 8)
  for (const number of all) mask[number >> 3]! |= 1 << (number & 7)
  return mask
}
