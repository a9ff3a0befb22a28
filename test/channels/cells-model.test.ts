/** All interleavings of the ends of watch and oneshot cells, and of what they become with a step wrong. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type OneshotBytes,
  OneshotReceiver,
  OneshotSender,
  type SharedWords,
  WatchReader,
  WatchWriter,
} from '../../src/channels/shared/index.ts'
import { type Explored, explore, type World } from '../interleavings.ts'

// As src/channels/shared/watch-cell.ts and oneshot-cell.ts have them.
const VERSION = 32
const FIRST_SLOT = 33
const SLOT_WORDS = 3
const STATE = 5

type Rework = (words: SharedWords) => SharedWords

interface WatchMutant {
  readonly writer?: Rework
  readonly reader?: Rework
}

/** Values of two words that are alike: one of each would be torn. */
function makeValue(version: number): Uint8Array {
  return new Uint8Array(8).fill(version)
}

function exploreWatch(versionCount: number, { writer, reader }: WatchMutant = {}): Explored {
  const same: Rework = (words) => words
  const open = (world: World, rework: Rework = same) => ({
    words: rework(world.words('cell')),
    capacityBytes: 8,
  })
  const read = (world: World) => {
    const end = new WatchReader(open(world, reader))
    const seen: number[] = []
    while (!end.isEnded) {
      const lengthBytes = end.read()
      const bytes = end.bytes.subarray(0, lengthBytes)
      assert.equal(lengthBytes, end.version === 0 ? 0 : 8)
      assert.ok(
        bytes.every((byte) => byte === end.version),
        'a value is whole',
      )
      assert.ok(end.version >= (seen.at(-1) ?? 0), 'values come in order')
      seen.push(end.version)
      world.mark(seen.at(-1))
      world.untilChanged(
        { name: 'cell', index: VERSION, value: end.version },
        { name: 'cell', index: 3, value: 0 },
      )
    }
    return end.version
  }
  return explore({
    threads: {
      writer: (world) => {
        const end = new WatchWriter(open(world, writer))
        for (let version = 1; version <= versionCount; version++) end.write(makeValue(version))
        end.close()
      },
      reader: read,
    },
    check: ({ reader }) => assert.equal(reader, versionCount, 'the last value is read'),
  })
}

for (const versionCount of [1, 2, 3, 4]) {
  test(`WatchReader reads whole values, in order, and the last of ${versionCount}`, () => {
    assert.ok(exploreWatch(versionCount).endCount > 0)
  })
}

/** Slots of a cell that has but one. */
const oneSlot: Rework = (words) => {
  const at = (index: number) => (index >= FIRST_SLOT + SLOT_WORDS ? index - SLOT_WORDS : index)
  return {
    ...words,
    load: (index) => words.load(at(index)),
    store: (index, value) => words.store(at(index), value),
  }
}

/** The version before the value. */
const versionFirst: Rework = (words) => {
  let version = 0
  let isSaid = true
  return {
    ...words,
    store: (index, value) => {
      if (isSaid && index !== VERSION) {
        version++
        words.store(VERSION, version)
        isSaid = false
      }
      if (index === VERSION) isSaid = true
      else words.store(index, value)
    },
  }
}

/** The version is not looked at after the copy. */
const versionOnce: Rework = (words) => {
  let version: number | undefined
  return {
    ...words,
    load: (index) => {
      if (index !== VERSION) return words.load(index)
      const answer = version ?? words.load(index)
      version = version === undefined ? answer : undefined
      return answer
    },
  }
}

const WATCH_MUTANTS: Record<string, WatchMutant> = {
  'there is one slot': { writer: oneSlot, reader: oneSlot },
  'the version is published before the value': { writer: versionFirst },
  'the version is not looked at again': { reader: versionOnce },
}

for (const [name, mutant] of Object.entries(WATCH_MUTANTS)) {
  test(`explore() finds what is wrong when ${name}`, () => {
    assert.throws(() => exploreWatch(3, mutant), {
      name: 'Violation',
      message: /^reader fails: AssertionError/,
    })
  })
}

interface OneshotOutcome {
  readonly sender: unknown
  readonly receiver: unknown
}

interface OneshotModel {
  readonly send: (sender: OneshotSender) => unknown
  readonly receive: (receiver: OneshotReceiver, wait: () => void) => unknown
  readonly check: (outcome: OneshotOutcome) => void
  readonly senderWords?: Rework
}

const VALUE = Uint8Array.of(41, 42)

function exploreOneshot({ send, receive, check, senderWords }: OneshotModel): Explored {
  const open = (world: World) => ({
    words: world.words('cell'),
    bytes: plainBytes(world),
    capacityBytes: 2,
  })
  return explore({
    threads: {
      sender: (world) => {
        const cell = open(world)
        return send(new OneshotSender({ ...cell, words: senderWords?.(cell.words) ?? cell.words }))
      },
      receiver: (world) =>
        receive(new OneshotReceiver(open(world)), () =>
          world.untilChanged({ name: 'cell', index: STATE, value: 0 }),
        ),
    },
    check: ({ sender, receiver }) => check({ sender, receiver }),
  })
}

function plainBytes(world: World): OneshotBytes {
  const cells = world.cells('bytes')
  return {
    set: (bytes) => {
      for (const [index, byte] of bytes.entries()) cells[index] = byte
    },
    slice: (start, end) =>
      Uint8Array.from({ length: end - start }, (_, index) => cells[start + index]!),
  }
}

function receiveOne(receiver: OneshotReceiver, wait: () => void): Uint8Array | undefined {
  while (true) {
    const value = receiver.tryTake()
    if (value !== undefined || receiver.isEnded) return value
    wait()
  }
}

const sendOne: OneshotModel = {
  send: (sender) => sender.send(VALUE),
  receive: receiveOne,
  check: (outcome) => assert.deepEqual(outcome, { sender: true, receiver: VALUE }),
}

test('OneshotReceiver receives what was sent', () => {
  assert.ok(exploreOneshot(sendOne).endCount > 0)
})

test('OneshotReceiver is told that nothing will come', () => {
  const explored = exploreOneshot({
    send: (sender) => sender.close(),
    receive: receiveOne,
    check: ({ receiver }) => assert.equal(receiver, undefined),
  })

  assert.ok(explored.endCount > 0)
})

test('a value that meets a closing receiver is with one side, never with both or none', () => {
  const explored = exploreOneshot({
    send: (sender) => sender.send(VALUE),
    receive: (receiver) => receiver.close(),
    check: ({ sender, receiver }) => assert.equal(sender, receiver !== undefined),
  })

  assert.ok(explored.endCount > 1)
})

test('explore() finds what is wrong when a oneshot is sent before its bytes are there', () => {
  const early: Rework = (words) => {
    words.store(STATE, 1)
    return words
  }

  assert.throws(() => exploreOneshot({ ...sendOne, senderWords: early }), {
    name: 'Violation',
    message: /^(a data race|the outcome is wrong)/,
  })
})
