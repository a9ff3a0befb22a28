/** Makes what `read4k` reads: a file without holes, and a block device in memory. */

import { spawnSync } from 'node:child_process'
import {
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs'
import { freemem } from 'node:os'
import { join } from 'node:path'
import { BLOCK_BYTES, fillBlock } from './block-data.ts'
import { onExit } from './cleanup.ts'
import { Unavailable } from './definition.ts'
import { findTool } from './locate.ts'

const MIB = 1024 * 1024
const MEMORY_FOLDER = '/dev/shm'
// ABI: linux/magic.h.
const TMPFS_MAGIC = 0x01021994

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

let memoryDevice: Storage | undefined

/**
 * The block device in memory: a loop device over a file of tmpfs, removed when the harness ends.
 *
 * Not zram: it lacks NOWAIT, so io_uring hands each read to a worker thread (a context switch per
 * read, and half the CPU outside what fio reports), and the benchmark would be of those workers. A
 * loop device with direct I/O completes from elsewhere, as a disk does, and copies 4 KiB per read.
 * Blocking. Linux 6.6, for O_DIRECT on tmpfs; below that loop copies through its page cache.
 *
 * @throws {Unavailable} if not root, or without loop devices, or short of memory.
 */
export function openMemoryDevice(sizeBytes: number): Storage {
  if (memoryDevice?.sizeBytes === sizeBytes) return memoryDevice
  const losetup = findTool('losetup')
  if (process.getuid?.() !== 0) throw new Unavailable('a block device in memory needs root')
  if (losetup === undefined) throw new Unavailable('losetup is not installed')
  if (!existsSync('/dev/loop-control')) throw new Unavailable('the kernel has no loop devices')
  if (!hasRoomInMemory(sizeBytes)) throw new Unavailable(`${MEMORY_FOLDER} has too little memory`)

  const backing = join(MEMORY_FOLDER, `percore-bench-${process.pid}.dat`)
  // The device keeps the file alive, so without a name it goes with the device.
  const removeBacking = onExit(() => rmSync(backing, { force: true }))
  writeBlocks(backing, sizeBytes, constants.O_CREAT | constants.O_EXCL)
  const args = ['--find', '--show', '--read-only', '--direct-io=on', '--sector-size=4096', backing]
  const result = spawnSync(losetup, args, { encoding: 'utf8' })
  rmSync(backing, { force: true })
  removeBacking()
  if (result.status !== 0) throw new Unavailable(`no loop device: ${result.stderr.trim()}`)
  const path = result.stdout.trim()
  onExit(() => spawnSync(losetup, ['--detach', path]))
  memoryDevice = { path, sizeBytes }
  return memoryDevice
}

function hasRoomInMemory(sizeBytes: number): boolean {
  if (!existsSync(MEMORY_FOLDER)) return false
  const { type, bavail, bsize } = statfsSync(MEMORY_FOLDER)
  return type === TMPFS_MAGIC && bavail * bsize > sizeBytes && freemem() > sizeBytes * 2
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
