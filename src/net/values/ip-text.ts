/** IP addresses as text. */

/** Groups of an IPv6 address, of 16 bits each. */
export const IPV6_GROUP_COUNT = 8

/** The value of a dotted address, or null if it is none in its canonical form. */
export function parseIpv4(host: string): number | null {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(host)
  if (match === null) return null
  let value = 0
  for (const part of match.slice(1)) {
    // Not 010, which is 8 to some and 10 to others.
    if (Number(part) > 255 || (part.length > 1 && part.startsWith('0'))) return null
    value = value * 256 + Number(part)
  }
  return value
}

/** Groups and scope of an IPv6 address, or null if it is none. */
export function parseIpv6(host: string): { words: number[]; scope: number } | null {
  const match = /^([0-9a-fA-F:.]+)(?:%(\d{1,9}))?$/.exec(host)
  if (match === null || !host.includes(':')) return null
  const halves = match[1]!.split('::')
  if (halves.length > 2) return null
  const head = parseGroups(halves[0]!, halves.length === 1)
  const tail = halves.length === 1 ? [] : parseGroups(halves[1]!, true)
  if (head === null || tail === null) return null
  const missing = IPV6_GROUP_COUNT - head.length - tail.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null
  const words = [...head, ...new Array<number>(missing).fill(0), ...tail]
  return { words, scope: Number(match[2] ?? 0) }
}

/** The canonical text of RFC 5952: the longest run of zeros, of two at least, becomes `::`. */
export function formatIpv6(words: readonly number[], scope: number): string {
  let start = -1
  let length = 1
  for (let from = 0; from < IPV6_GROUP_COUNT; from++) {
    let to = from
    while (to < IPV6_GROUP_COUNT && words[to] === 0) to++
    if (to - from > length) {
      start = from
      length = to - from
    }
  }
  const suffix = scope === 0 ? '' : `%${scope}`
  const join = (from: number, to: number): string =>
    words
      .slice(from, to)
      .map((word) => word.toString(16))
      .join(':')
  // ::ffff:a.b.c.d is an IPv4 peer of an IPv6 socket, and reads as such.
  if (start === 0 && length === 5 && words[5] === 0xffff) {
    const [high, low] = [words[6]!, words[7]!]
    return `::ffff:${high >> 8}.${high & 255}.${low >> 8}.${low & 255}${suffix}`
  }
  if (start === -1) return join(0, IPV6_GROUP_COUNT) + suffix
  return `${join(0, start)}::${join(start + length, IPV6_GROUP_COUNT)}${suffix}`
}

function parseGroups(text: string, isLast: boolean): number[] | null {
  if (text === '') return []
  const words: number[] = []
  const parts = text.split(':')
  for (const [index, part] of parts.entries()) {
    if (isLast && index === parts.length - 1 && part.includes('.')) {
      const value = parseIpv4(part)
      if (value === null) return null
      words.push(Math.floor(value / 65_536), value % 65_536)
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      words.push(Number.parseInt(part, 16))
    } else {
      return null
    }
  }
  return words
}
