import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Pipe {
  readonly readFd: number
  /** Makes it readable. */
  write(): void
  close(): void
}

/** A pipe whose ends are plain descriptors, which Node's own streams don't give. */
export function createPipe(): Pipe {
  const folder = mkdtempSync(join(tmpdir(), 'percore-pipe-'))
  const path = join(folder, 'pipe')
  execFileSync('mkfifo', [path])
  // Both ways, so that it opens without a partner and never ends; no O_NONBLOCK, as users have it.
  const fd = openSync(path, constants.O_RDWR)
  rmSync(folder, { recursive: true })
  return {
    readFd: fd,
    write: () => void writeSync(fd, 'x'),
    close: () => closeSync(fd),
  }
}
