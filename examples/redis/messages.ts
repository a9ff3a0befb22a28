/** What shards send to each other, as bytes: commands to run, their replies, that a shard asks for nothing more, and nothing at all. */

export type Kind = 'commands' | 'replies' | 'done' | 'nothing'

export interface Message {
  readonly kind: Kind
  /** By which replies find what they answer. */
  readonly id: number
  /** Commands each with its arguments; or all replies as one list. */
  readonly lists: readonly (readonly string[])[]
}

const KINDS: readonly Kind[] = ['commands', 'replies', 'done', 'nothing']
const WORD_BYTES = 4

/** Numbers of 32 bits first: the kind, the id, how many lists, then of each list how many strings and their lengths. */
export function encodeMessage({ kind, id, lists }: Message): Uint8Array {
  const words = [KINDS.indexOf(kind), id, lists.length]
  let bodyBytes = 0
  for (const list of lists) {
    words.push(list.length)
    for (const text of list) {
      words.push(text.length)
      bodyBytes += text.length
    }
  }
  const bytes = Buffer.allocUnsafe(words.length * WORD_BYTES + bodyBytes)
  let at = 0
  for (const word of words) at = bytes.writeUInt32LE(word, at)
  for (const list of lists) {
    for (const text of list) at += bytes.write(text, at, 'latin1')
  }
  return bytes
}

export function decodeMessage(message: Uint8Array): Message {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.length)
  let at = 0
  const readWord = (): number => {
    at += WORD_BYTES
    return bytes.readUInt32LE(at - WORD_BYTES)
  }
  const kind = KINDS[readWord()]!
  const id = readWord()
  const lengths = Array.from({ length: readWord() }, () =>
    Array.from({ length: readWord() }, readWord),
  )
  const readText = (length: number): string => {
    at += length
    return bytes.toString('latin1', at - length, at)
  }
  return { kind, id, lists: lengths.map((list) => list.map(readText)) }
}
