import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judgeShort, MORE } from '../../src/io/requests/transfer-plan.ts'
import { EAGAIN, EINTR, EIO } from '../../src/kernel/index.ts'

const WRITE = { isWrite: true, isSeekable: true, alignmentBytes: 512 }
const READ = { isWrite: false, isSeekable: true, alignmentBytes: 512 }
const STREAM = { isWrite: false, isSeekable: false, alignmentBytes: 1 }

/** A kind of request, its result, and what follows. */
const ROWS: readonly (readonly [typeof WRITE, number, number, string])[] = [
  [WRITE, -EAGAIN, MORE, 'a write that would block is tried again'],
  [READ, -EINTR, MORE, 'a read that was interrupted is tried again'],
  [STREAM, -EAGAIN, MORE, 'a read of a pipe that would block is tried again'],
  [WRITE, -EIO, -EIO, 'an error of a write is its outcome'],
  [READ, -EIO, -EIO, 'an error of a read is its outcome'],
  [WRITE, 0, MORE, 'a write that moved nothing goes on'],
  [WRITE, 700, MORE, 'a write that moved a part goes on'],
  [READ, 0, 0, 'a read that moved nothing is at the end'],
  [READ, 512, MORE, 'a read of whole blocks goes on'],
  [READ, 700, 700, 'a read of a part of a block is at the end'],
  [STREAM, 7, 7, 'a read of a pipe is over with what came'],
  [STREAM, 0, 0, 'a read of a pipe without writers is at the end'],
]

for (const [kind, result, outcome, name] of ROWS) {
  test(`judgeShort(): ${name}`, () => {
    assert.equal(judgeShort({ ...kind, result }), outcome)
  })
}
