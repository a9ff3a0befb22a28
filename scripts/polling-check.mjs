/**
 * Checks that the devices of these folders, or these devices, are polled, or are not, and that data is right and interrupts are few where they are:
 * `node scripts/polling-check.mjs polled|not-polled <folder or device> ...`. It overwrites a device that it is given.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Refusal, runAsProgram, runNode } from './project.mjs'

const BLOCK_BYTES = 4096
const BLOCK_COUNT = 1024
/** Reads of each kind: so many interrupts there would be without polling. */
const READ_COUNT = 500
/** What else comes by an interrupt meanwhile: a journal, say. */
const INTERRUPTS_MAX = READ_COUNT / 10
/** Of the mapped device. */
const NAME = 'polling'
const TESTS = ['dist/test/io/polled.test.js', 'dist/test/contract/poll-ring.test.js']

async function main([expected, ...places]) {
  if (!['polled', 'not-polled'].includes(expected) || places.length === 0) {
    throw new Refusal(
      'Usage: node scripts/polling-check.mjs polled|not-polled <folder or device> ...',
    )
  }
  const isPolled = expected === 'polled'
  for (const place of places) await checkPlace(place, isPolled)
  const device = places.find((place) => statSync(place).isBlockDevice())
  if (device !== undefined) await checkMapped(device, isPolled)
  const folders = places.filter((place) => statSync(place).isDirectory())
  // Where nothing is polled the tests pass over what needs it.
  const exitCodes = folders.map((folder) => {
    const env = { ...process.env, TMPDIR: folder, PERCORE_TEST_SLOWNESS: '10' }
    return runNode(['--test', '--test-reporter=spec', ...TESTS], { env })
  })
  return Math.max(0, ...exitCodes)
}

async function checkPlace(place, isPolled) {
  const { DirectFile } = await import('../dist/src/io/index.js')
  const isDevice = statSync(place).isBlockDevice()
  const path = isDevice ? place : join(place, 'polling-check')
  const options = { read: true, write: true, create: !isDevice }
  const file = await DirectFile.open(path, options)
  assert.equal(file.isPolled, isPolled, `${path} is polled`)
  if (!isPolled) {
    await assert.rejects(DirectFile.open(path, { poll: 'always' }), { code: 'ERR_UNSUPPORTED' })
  }
  const data = makeData()
  await file.writeBytes(data, 0)
  await file.sync()
  const polled = await countInterrupts(() => readBlocks(file, data))
  const waited = await DirectFile.open(path, { poll: 'never' })
  const told = await countInterrupts(() => readBlocks(waited, data))
  assert.equal(waited.isPolled, false)
  assert.ok(told >= INTERRUPTS_MAX, `interrupts are counted: ${told}`)
  if (isPolled) assert.ok(polled <= INTERRUPTS_MAX, `there are few interrupts: ${polled}`)
  const { polledCount } = await readStats()
  console.log(
    `${path}: ${READ_COUNT} reads, ${polled} interrupts ${isPolled ? 'polled' : 'without polling'}, ${told} told of; ${polledCount} polled so far`,
  )
  await Promise.all([file.close(), waited.close()])
  assert.equal(Buffer.compare(readStart(path, data.length), data), 0)
}

/** A mapped device is asked as such, not as one of those below it. */
async function checkMapped(device, isPolled) {
  const table = `0 ${(BLOCK_BYTES * BLOCK_COUNT) / 512} linear ${device} 0`
  const made = map('create', '--noudevsync', '--noudevrules', NAME, '--table', table)
  const minor = map('info', '-c', '--noheadings', '-o', 'minor', NAME)
  const path = `/dev/dm-${minor.stdout?.trim()}`
  if (made.status !== 0 || !existsSync(path)) {
    console.log(`No mapped device is checked: ${made.error?.message ?? made.stderr}`)
    return
  }
  try {
    const { DirectFile } = await import('../dist/src/io/index.js')
    const file = await DirectFile.open(path)
    const interrupts = await countInterrupts(() => readBlocks(file, makeData()))
    console.log(`${path}: ${file.isPolled ? '' : 'not '}polled, ${interrupts} interrupts`)
    assert.ok(isPolled || !file.isPolled, 'what is below has no queues to poll')
    if (file.isPolled) assert.ok(interrupts <= INTERRUPTS_MAX, 'there are few interrupts')
    await file.close()
  } finally {
    map('remove', '--noudevsync', NAME)
  }
}

function map(...words) {
  return spawnSync('dmsetup', words, { encoding: 'utf8' })
}

async function readBlocks(file, data) {
  for (let count = 0; count < READ_COUNT; count++) {
    const offsetBytes = ((count * 7919) % BLOCK_COUNT) * BLOCK_BYTES
    const found = await file.read(offsetBytes, BLOCK_BYTES)
    const wanted = data.subarray(offsetBytes, offsetBytes + BLOCK_BYTES)
    assert.equal(Buffer.compare(found.bytes, wanted), 0, `the block at ${offsetBytes} is right`)
    found[Symbol.dispose]()
  }
}

async function countInterrupts(run) {
  const before = readInterrupts()
  await run()
  return readInterrupts() - before
}

/** Of all NVMe drives: nobody else uses any meanwhile. */
function readInterrupts() {
  const lines = readFileSync('/proc/interrupts', 'utf8').split('\n')
  const counts = lines
    .filter((line) => line.includes('nvme'))
    .flatMap((line) =>
      line
        .trim()
        .split(/\s+/)
        .slice(1)
        .filter((word) => /^\d+$/.test(word)),
    )
  return counts.reduce((sum, count) => sum + Number(count), 0)
}

/** As others read it: through the page cache. */
function readStart(path, lengthBytes) {
  const fd = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(lengthBytes)
    assert.equal(readSync(fd, bytes, 0, lengthBytes, 0), lengthBytes)
    return bytes
  } finally {
    closeSync(fd)
  }
}

async function readStats() {
  const { executor } = await import('../dist/src/index.js')
  return executor().stats().files
}

function makeData() {
  const data = Buffer.alloc(BLOCK_BYTES * BLOCK_COUNT)
  for (let index = 0; index < data.length; index += 4)
    data.writeUInt32LE((index * 2654435761) % 2 ** 32, index)
  return data
}

await runAsProgram(import.meta.url, main)
