/** Makes what benchmarks of files read: a file without holes, on a disk and on a block device in memory. */

import { spawnSync } from 'node:child_process'
import {
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { freemem, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { findMount } from '../src/cli/doctor/mount.ts'
import { BLOCK_BYTES, fillBlock } from './block-data.ts'
import { onExit } from './cleanup.ts'
import { Unavailable } from './definition.ts'
import { findTool } from './locate.ts'

const MIB = 1024 * 1024
/** What ext4 itself takes of a device, at the most. */
const FILE_SYSTEM_BYTES = 64 * MIB
const ZRAM_ADD = '/sys/class/zram-control/hot_add'
const ZRAM_REMOVE = '/sys/class/zram-control/hot_remove'
/** Where a run mounts its device: the number of its process, and that of the device. */
const LEFTOVER = /^percore-bench-(\d+)-zram(\d+)$/

/** Something to read at random, of whole blocks that `fillBlock` wrote. */
export interface Storage {
  readonly path: string
  readonly sizeBytes: number
}

/** The test file of a size in a folder; written once, kept between runs. Blocking. */
export function openFile(directory: string, sizeBytes: number): Storage {
  const path = join(directory, `read4k-${sizeBytes / MIB}MiB.dat`)
  if (existsSync(path) && statSync(path).size === sizeBytes) return { path, sizeBytes }
  mkdirSync(directory, { recursive: true })
  // Named last, so that an interrupted write is never taken for the file.
  const partial = `${path}.partial`
  writeBlocks(partial, sizeBytes, constants.O_CREAT | constants.O_TRUNC)
  renameSync(partial, path)
  return { path, sizeBytes }
}

let memoryFile: Storage | undefined

/**
 * The test file on a block device in memory: ext4 on a zram device of its own, which is removed when
 * the harness ends.
 *
 * With a file system on it, since the bare device has no NOWAIT: io_uring would hand each read to a
 * worker thread, and the benchmark would be of those. Like this a read completes within the call that
 * submits it, so that all that is measured is the path through the kernel and the runtime.
 * Blocking. Linux 4.2, for devices that come and go.
 *
 * @throws {Unavailable} if not root, or without zram or the tools for ext4, or short of memory.
 */
export function openMemoryFile(sizeBytes: number): Storage {
  if (memoryFile?.sizeBytes === sizeBytes) return memoryFile
  if (process.getuid?.() !== 0) throw new Unavailable('a block device in memory needs root')
  if (!existsSync(ZRAM_ADD)) throw new Unavailable('the kernel has no zram')
  if (freemem() < sizeBytes * 2) throw new Unavailable('there is too little memory')
  removeLeftovers()
  const device = addMemoryDevice(sizeBytes + FILE_SYSTEM_BYTES)
  const folder = join(tmpdir(), `percore-bench-${process.pid}-${basename(device)}`)
  mkdirSync(folder)
  onExit(() => rmdirSync(folder))
  runTool('mkfs.ext4', ['-q', '-O', '^has_journal', device])
  runTool('mount', [device, folder])
  onExit(() => runTool('umount', [folder]))
  memoryFile = openFile(folder, sizeBytes)
  return memoryFile
}

/** Removes the devices of runs that were killed: each holds as much memory as it was filled with. */
function removeLeftovers(): void {
  for (const name of readdirSync(tmpdir())) {
    const [, pid, index] = LEFTOVER.exec(name) ?? []
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue
    const folder = join(tmpdir(), name)
    try {
      // Anyone can name something so: only root's own folder, with that very device on it, is a leftover.
      const mount = findMount(folder)
      const isMounted = mount.mountPoint === mount.folder && mount.source === `/dev/zram${index}`
      if (!isMounted || lstatSync(folder).uid !== 0) continue
      if (spawnSync('umount', [folder]).status !== 0) continue
      writeFileSync(ZRAM_REMOVE, String(index))
      rmdirSync(folder)
    } catch {
      // A side that was left running still reads it: another time.
    }
  }
}

function addMemoryDevice(sizeBytes: number): string {
  try {
    // Reading it is what makes the device.
    const index = readFileSync(ZRAM_ADD, 'utf8').trim()
    onExit(() => writeFileSync(ZRAM_REMOVE, index))
    writeFileSync(`/sys/block/zram${index}/disksize`, String(sizeBytes))
    return `/dev/zram${index}`
  } catch (error) {
    // Root of a container may only look at it.
    throw new Unavailable(`zram refuses: ${(error as Error).message}`)
  }
}

function runTool(name: string, args: readonly string[]): void {
  const path = findTool(name)
  if (path === undefined) throw new Unavailable(`${name} is not installed`)
  const result = spawnSync(path, args, { encoding: 'utf8' })
  if (result.status !== 0) throw new Unavailable(`${name} failed: ${result.stderr.trim()}`)
}

function writeBlocks(path: string, sizeBytes: number, flags: number): void {
  const words = new Uint32Array(MIB / 4)
  const blocksPerChunk = MIB / BLOCK_BYTES
  const fd = openSync(path, constants.O_WRONLY | flags, 0o644)
  try {
    for (let chunk = 0; chunk < sizeBytes / MIB; chunk++) {
      for (let block = 0; block < blocksPerChunk; block++) {
        fillBlock(words, (block * BLOCK_BYTES) / 4, chunk * blocksPerChunk + block)
      }
      writeAll(fd, words, chunk * MIB)
    }
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

function writeAll(fd: number, words: Uint32Array, positionBytes: number): void {
  for (let done = 0; done < words.byteLength; ) {
    done += writeSync(fd, words, done, words.byteLength - done, positionBytes + done)
  }
}
