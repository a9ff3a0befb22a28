import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { executor } from '../../src/executor/index.ts'

/** Gives a folder that is empty, and gone afterwards. */
export async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  if (executor().kernel.name === 'sim') {
    await body('/tmp')
    return
  }
  const folder = mkdtempSync(join(tmpdir(), 'percore-net-'))
  try {
    await body(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
