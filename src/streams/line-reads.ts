import type { Read } from './read.ts'
import { type ByteReaderOptions, tooLong } from './reader-options.ts'
import type { Unread } from './unread.ts'

/** The ways to read lines, made once for a reader: a line then costs no object but itself. */
export class LineReads {
  readonly text: Read<string | null>
  readonly bytes: Read<Uint8Array | null>
  readonly batch: Read<string[] | null>

  constructor(unread: Unread, { encoding, lineBytesMax }: Required<ByteReaderOptions>) {
    const findEnd = (): number => {
      const endBytes = unread.findLineEnd()
      if (endBytes > lineBytesMax || (endBytes < 0 && unread.lengthBytes > lineBytesMax)) {
        throw tooLong('read a line', 'lineBytesMax', lineBytesMax)
      }
      return endBytes
    }
    const takeText = (): string | undefined => {
      const endBytes = findEnd()
      return endBytes < 0 ? undefined : unread.takeText(endBytes, encoding)
    }
    const takeLast = (): string | null => {
      const { lengthBytes } = unread
      return lengthBytes === 0 ? null : unread.takeText(lengthBytes, encoding)
    }
    this.text = lineRead(takeText, takeLast)
    this.bytes = lineRead(
      () => {
        const endBytes = findEnd()
        return endBytes < 0 ? undefined : unread.takeLineBytes(endBytes)
      },
      () => (unread.lengthBytes === 0 ? null : unread.take(unread.lengthBytes)),
    )
    this.batch = lineRead(
      () => {
        const first = takeText()
        if (first === undefined) return undefined
        const lines = [first]
        unread.takeLinesAtHand(lines, encoding, lineBytesMax)
        return lines
      },
      () => {
        const last = takeLast()
        return last === null ? null : [last]
      },
    )
  }
}

function lineRead<T>(take: () => T | undefined, takeEnd: () => T | null): Read<T | null> {
  return { action: 'read a line', expectedBytes: 0, take, takeEnd }
}
