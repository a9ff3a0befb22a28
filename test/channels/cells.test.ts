import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  createOneshotCell,
  createWatchCell,
  OneshotReceiver,
  OneshotSender,
  WatchReader,
  WatchWriter,
} from '../../src/channels/shared/index.ts'

function connectOneshot(capacityBytes: number) {
  const cell = createOneshotCell(capacityBytes)
  return {
    sender: OneshotSender.attach(cell),
    receiver: OneshotReceiver.attach(structuredClone(cell)),
  }
}

function readNow(reader: WatchReader): number[] {
  return [...reader.bytes.subarray(0, reader.read())]
}

test('WatchReader reads the latest of what was written, and knows what is new', () => {
  const cell = createWatchCell(7)
  const writer = WatchWriter.attach(cell)
  const reader = WatchReader.attach(structuredClone(cell))
  const before = [reader.hasNews, readNow(reader)]
  writer.write(Uint8Array.of(1, 2, 3, 4, 5, 6, 7))
  writer.write(Uint8Array.of(8, 9))
  const after = [reader.hasNews, readNow(reader), reader.hasNews, reader.version]

  assert.deepEqual(before, [false, []])
  assert.deepEqual(after, [true, [8, 9], false, 2])
})

test('WatchReader ends with the last value', () => {
  const cell = createWatchCell(1)
  const writer = WatchWriter.attach(cell)
  const reader = WatchReader.attach(cell)
  writer.write(Uint8Array.of(1))
  writer.close()
  const ended = [reader.isEnded]
  readNow(reader)
  ended.push(reader.isEnded)

  assert.deepEqual(ended, [false, true])
})

test('write() throws RangeError for what is longer than the cell, and leaves the value', () => {
  const cell = createWatchCell(2)
  const writer = WatchWriter.attach(cell)
  writer.write(Uint8Array.of(1, 2))

  assert.throws(() => writer.write(new Uint8Array(3)), RangeError)
  assert.deepEqual(readNow(WatchReader.attach(cell)), [1, 2])
})

test('createWatchCell() and createOneshotCell() refuse what is no size', () => {
  for (const size of [-1, 1.5, Number.NaN, 2 ** 40]) {
    assert.throws(() => createWatchCell(size), RangeError)
    assert.throws(() => createOneshotCell(size), RangeError)
  }
})

test('attach() throws ERR_STILL_HELD for an end that was taken', () => {
  const watch = createWatchCell(1)
  const oneshot = createOneshotCell(1)
  WatchWriter.attach(watch)
  OneshotSender.attach(oneshot)
  OneshotReceiver.attach(oneshot)

  assert.throws(() => WatchWriter.attach(watch), { code: 'ERR_STILL_HELD' })
  assert.throws(() => OneshotSender.attach(oneshot), { code: 'ERR_STILL_HELD' })
  assert.throws(() => OneshotReceiver.attach(oneshot), { code: 'ERR_STILL_HELD' })
})

test('tryTake() gives what was sent, once', () => {
  const { sender, receiver } = connectOneshot(4)
  const before = receiver.tryTake()
  const isSent = sender.send(Uint8Array.of(1, 2, 3))

  assert.equal(before, undefined)
  assert.equal(isSent, true)
  assert.deepEqual(receiver.tryTake(), Uint8Array.of(1, 2, 3))
  assert.equal(receiver.tryTake(), undefined)
  assert.equal(receiver.isEnded, true)
})

test('send() is refused once the receiver has closed, and throws for what is too long', () => {
  const { sender, receiver } = connectOneshot(2)

  assert.throws(() => sender.send(new Uint8Array(3)), RangeError)
  assert.equal(receiver.close(), undefined)
  assert.equal(sender.send(new Uint8Array(2)), false)
  assert.throws(() => sender.send(new Uint8Array(2)), { code: 'ERR_ASSERTION' })
})

test('close() of the sender ends it without a value, unless there is one', () => {
  const empty = connectOneshot(1)
  const full = connectOneshot(1)
  full.sender.send(Uint8Array.of(7))
  empty.sender.close()
  full.sender.close()

  assert.deepEqual([empty.receiver.isEnded, empty.receiver.tryTake()], [true, undefined])
  assert.deepEqual([full.receiver.isEnded, full.receiver.tryTake()], [false, Uint8Array.of(7)])
})

test('close() of the receiver gives what had been sent', () => {
  const { sender, receiver } = connectOneshot(1)
  sender.send(Uint8Array.of(7))

  assert.deepEqual(receiver.close(), Uint8Array.of(7))
  assert.equal(receiver.close(), undefined)
})
