/** Folders for files, what leaks are counted by, and children with limits of their own. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  realpathSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { findMount, findQueue } from '../../src/cli/doctor/mount.ts'
import { executor } from '../../src/index.ts'

const BUILD_FOLDER = fileURLToPath(new URL('../../../build', import.meta.url))

/**
 * A new folder, removed after the test; its file system does direct I/O if any here does. Its path is the
 * one that the kernel tells, since the way to it may lead through a link.
 */
export function makeFolder(t: TestContext): string {
  const folder = realpathSync(mkdtempSync(join(parentFolder(), 'percore-io-')))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Where {@link makeFolder} makes folders. */
export function parentFolder(): string {
  return [tmpdir(), BUILD_FOLDER].find((folder) => refusalOfDirect(folder) === null) ?? tmpdir()
}

/** The options of a test that needs direct I/O: skipped, with the reason, where there is none. */
export function needsDirect(): { skip: string | false } {
  const reason = refusalOfDirect(tmpdir()) ?? refusalOfDirect(BUILD_FOLDER)
  const isPossible = [tmpdir(), BUILD_FOLDER].some((folder) => refusalOfDirect(folder) === null)
  return { skip: isPossible ? false : `no direct I/O here: ${reason}` }
}

/** The options of a test that needs direct I/O on a block device, as {@link makeFolder} finds it. */
export function needsBlockDevice(): { skip: string | false } {
  const direct = needsDirect()
  if (direct.skip !== false) return direct
  const parent = parentFolder()
  const { device, type, source } = findMount(parent)
  if (findQueue(device) !== undefined) return { skip: false }
  return { skip: `no block device below ${parent}: it is on ${type} (${source})` }
}

/** A folder with a file system of its own, such as `-t tmpfs -o size=1m tmpfs`; it takes root. */
export function mountFolder(t: TestContext, options: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'percore-mount-'))
  const mounted = spawnSync('mount', [...options, folder], { encoding: 'utf8' })
  t.after(() => {
    if (mounted.status === 0) spawnSync('umount', ['--lazy', folder])
    rmSync(folder, { recursive: true, force: true })
  })
  assert.equal(mounted.status, 0, `Cannot mount: ${mounted.stderr}`)
  return folder
}

export function needsRoot(): { skip: string | false } {
  return { skip: process.getuid?.() === 0 ? false : 'needs root' }
}

function refusalOfDirect(folder: string): string | null {
  try {
    mkdirSync(folder, { recursive: true })
    const path = join(folder, `percore-direct-${process.pid}`)
    const flags = constants.O_CREAT | constants.O_RDWR | constants.O_DIRECT
    try {
      closeSync(openSync(path, flags))
    } finally {
      rmSync(path, { force: true })
    }
    return null
  } catch (error) {
    return String(error)
  }
}

/** What must be the same before and after: operations, leases, descriptors. */
export interface Holdings {
  readonly inFlightCount: number
  readonly leasedCount: number
  readonly usedBytes: number
  readonly fdCount: number
}

export function holdings(): Holdings {
  const { inFlightCount, ioMemory } = executor().stats()
  const { leasedCount, usedBytes } = ioMemory
  return { inFlightCount, leasedCount, usedBytes, fdCount: readdirSync('/proc/self/fd').length }
}

/** Fails unless everything is as it was. */
export function assertNoLeak(before: Holdings): void {
  assert.deepEqual(holdings(), before)
}

/** Bytes that tell where they belong. */
export function pattern(lengthBytes: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes)
  for (let index = 0; index < lengthBytes; index++) {
    bytes[index] = (index * 31 + (index >> 8) * 7 + seed * 101) & 0xff
  }
  return bytes
}

export interface ChildOptions {
  /** What the shell does before it becomes Node, such as `ulimit -n 64`. */
  readonly limit: string
  readonly script: string
  readonly args?: readonly string[]
  /** Runs as `nobody`. */
  readonly unprivileged?: boolean
}

/**
 * Runs a module in a child with limits of its own and returns the JSON that it printed.
 *
 * `io`, `core` and `args` are defined in it: the doors of percore, and the arguments.
 */
export function runLimited(options: ChildOptions): unknown {
  const door = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href)
  const script = `
    import * as io from ${door('../../src/io/index.js')}
    import * as core from ${door('../../src/index.js')}
    const args = process.argv.slice(1)
    ${options.script}`
  const node = [process.execPath, '--input-type=module', '-e', script, ...(options.args ?? [])]
  const words = options.unprivileged
    ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--', ...node]
    : node
  const child = spawnSync('sh', ['-c', `${options.limit}; exec "$@"`, 'sh', ...words], {
    encoding: 'utf8',
  })
  assert.equal(child.status, 0, `the child failed: ${child.stderr}`)
  return JSON.parse(child.stdout)
}
