/** Makes what `lines` reads: text of known lines. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

const MIB = 1024 * 1024

/** A file of lines, and how many it has. */
export interface LineFile {
  readonly path: string
  readonly sizeBytes: number
  readonly lineCount: number
}

/** The file of a size in a folder, of lines of 20 to 180 bytes; written once, kept between runs. Blocking. */
export function openLineFile(directory: string, sizeBytes: number): LineFile {
  const path = join(directory, `lines-${sizeBytes / MIB}MiB.txt`)
  const block = makeBlock()
  const blockLines = countLines(block)
  const lineCount = (sizeBytes / MIB) * blockLines
  if (existsSync(path) && statSync(path).size === sizeBytes) return { path, sizeBytes, lineCount }
  mkdirSync(directory, { recursive: true })
  // Named last, so that an interrupted write is never taken for the file.
  const partial = `${path}.partial`
  const fd = openSync(partial, 'w')
  for (let at = 0; at < sizeBytes; at += MIB) writeSync(fd, block)
  fsyncSync(fd)
  closeSync(fd)
  renameSync(partial, path)
  return { path, sizeBytes, lineCount }
}

/** A MiB of whole lines. */
function makeBlock(): Buffer {
  const block = Buffer.alloc(MIB, 'the quick brown fox jumps over the lazy dog; ')
  let at = 0
  for (let line = 0; ; line++) {
    const lengthBytes = 20 + ((line * 37) % 161)
    if (at + lengthBytes >= MIB) break
    at += lengthBytes
    block[at - 1] = 10
  }
  block[MIB - 1] = 10
  return block
}

function countLines(block: Buffer): number {
  let count = 0
  for (let at = block.indexOf(10); at >= 0; at = block.indexOf(10, at + 1)) count++
  return count
}
