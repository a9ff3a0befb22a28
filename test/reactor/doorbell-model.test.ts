/** All interleavings of ringing a doorbell, sleeping and waking, and of what it becomes with a step wrong. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SharedWords } from '../../src/channels/shared/index.ts'
import { SLEEP_PARKED, WORD_DOORBELL, WORD_SLEEPING } from '../../src/kernel/index.ts'
import { type Explored, explore, type World } from '../interleavings.ts'
import {
  beginSleep,
  endSleep,
  type ModelDoorbell,
  openDoorbell,
  ring,
  take,
} from './doorbell-world.ts'

/** What a mutant replaces. */
interface Protocol {
  readonly announce: typeof ring
  readonly takeAnnounced: typeof take
  readonly beginSleep: typeof beginSleep
  /** Publishes message `count` of a sender, and says so. Returns whether it must wake the receiver. */
  readonly send: (send: Send) => boolean
}

interface Send {
  readonly protocol: Protocol
  readonly bell: ModelDoorbell
  readonly inbox: number
  /** Its ring, of which only the count of messages is left. */
  readonly ring: SharedWords
  readonly count: number
}

const RIGHT: Protocol = {
  announce: ring,
  takeAnnounced: take,
  beginSleep,
  send: ({ protocol, bell, inbox, ring, count }) => {
    ring.store(0, count)
    return protocol.announce(bell, inbox)
  },
}

interface Shape {
  /** For each sender, its inbox and how much it sends. */
  readonly senders: readonly { readonly inbox: number; readonly messageCount: number }[]
  /** Something else wakes the receiver once, at any time. */
  readonly hasStranger?: boolean
  /** The inbox of one whose thread ends when it would wake the receiver, whose messages may be lost with it. */
  readonly cutOffInbox?: number
}

function runModel(shape: Shape, protocol: Protocol = RIGHT): Explored {
  const { senders } = shape
  const threads: Record<string, (world: World) => unknown> = {
    receiver: (world) => receive(world, protocol, shape),
  }
  for (const [index, { inbox, messageCount }] of senders.entries()) {
    threads[`sender ${index}`] = (world) => {
      const bell = openDoorbell(world, 'bell')
      const ring = world.words(`ring ${inbox}`)
      let wakeCount = 0
      for (let count = 1; count <= messageCount; count++) {
        world.mark(count, wakeCount)
        const mustWake = protocol.send({ protocol, bell, inbox, ring, count })
        if (!mustWake || inbox === shape.cutOffInbox) continue
        wakeCount++
        world.wake('receiver')
      }
      return wakeCount
    }
  }
  if (shape.hasStranger === true) {
    threads.stranger = (world) => {
      world.wake('receiver')
      return 0
    }
  }
  return explore({
    threads,
    check: ({ receiver, ...others }) => {
      const wakeCount = Object.values(others).reduce<number>((sum, n) => sum + (n as number), 0)
      const mostCount = (receiver as number) + senders.length
      assert.ok(wakeCount <= mostCount, 'a sender wakes once until its inbox is taken')
    },
  })
}

/** Receives all there is to receive; returns how often it took an inbox. */
function receive(world: World, protocol: Protocol, shape: Shape): number {
  const { senders, cutOffInbox } = shape
  const bell = openDoorbell(world, 'bell')
  const lasting = senders.filter(({ inbox }) => inbox !== cutOffInbox)
  const expected = lasting.reduce((sum, { messageCount }) => sum + messageCount, 0)
  const counts = new Map(senders.map(({ inbox }) => [inbox, 0]))
  let received = 0
  let takenCount = 0
  while (received < expected) {
    world.mark([...counts], takenCount)
    protocol.takeAnnounced(bell, (inbox) => {
      assert.ok(counts.has(inbox), 'only what sent is announced')
      takenCount++
      const count = world.words(`ring ${inbox}`).load(0)
      if (inbox !== cutOffInbox) received += count - counts.get(inbox)!
      counts.set(inbox, count)
    })
    if (received === expected) break
    if (protocol.beginSleep(bell)) world.park('receiver')
    endSleep(bell)
  }
  return takenCount
}

const ONE = { inbox: 3, messageCount: 1 }
const TWO = { inbox: 3, messageCount: 2 }
const SHAPES: Record<string, Shape> = {
  'one sender, one message': { senders: [ONE] },
  'one sender, two messages': { senders: [TWO] },
  'one sender, three messages': { senders: [{ inbox: 3, messageCount: 3 }] },
  'two senders of one group': { senders: [ONE, { inbox: 4, messageCount: 1 }] },
  'two senders of two groups': { senders: [ONE, { inbox: 130, messageCount: 1 }] },
  'two senders, three messages': { senders: [TWO, { inbox: 4, messageCount: 1 }] },
  'one sender and a stranger': { senders: [TWO], hasStranger: true },
  'two senders, one of which ends': {
    senders: [ONE, { inbox: 4, messageCount: 1 }],
    cutOffInbox: 4,
  },
}

for (const [name, shape] of Object.entries(SHAPES)) {
  test(`ringDoorbell() loses no message and no wake-up with ${name}`, () => {
    const explored = runModel(shape)

    assert.ok(explored.endCount > 0)
  })
}

const WAKES_TWICE = 'the sender rings again before its inbox is taken'

/** The protocol with one thing wrong each. */
const MUTANTS: Record<string, Partial<Protocol>> = {
  'the receiver does not look again before it sleeps': {
    beginSleep: ({ words }) => {
      words.store(WORD_SLEEPING, SLEEP_PARKED)
      return true
    },
  },
  'the receiver looks again before it says that it sleeps, or its store is a release only': {
    beginSleep: ({ words }) => {
      if (words.load(WORD_DOORBELL) !== 0) return false
      words.store(WORD_SLEEPING, SLEEP_PARKED)
      return true
    },
  },
  'the receiver clears the doorbell after it has looked': {
    takeAnnounced: ({ words, inboxes }, look) => {
      const groups = words.load(WORD_DOORBELL)
      for (const index of wordsOf(groups)) {
        for (const bit of bitsOf(inboxes.exchange(index, 0))) look(index * 32 + bit)
      }
      if (groups !== 0) words.store(WORD_DOORBELL, 0)
    },
  },
  'the receiver clears the inboxes after it has looked': {
    takeAnnounced: ({ words, inboxes }, look) => {
      for (const index of wordsOf(words.exchange(WORD_DOORBELL, 0))) {
        for (const bit of bitsOf(inboxes.load(index))) look(index * 32 + bit)
        inboxes.store(index, 0)
      }
    },
  },
  'the receiver clears the inboxes before the doorbell': {
    takeAnnounced: ({ words, inboxes }, look) => {
      if (words.load(WORD_DOORBELL) === 0) return
      const taken = [inboxes.exchange(0, 0)]
      words.exchange(WORD_DOORBELL, 0)
      for (const [index, bits] of taken.entries()) {
        for (const bit of bitsOf(bits)) look(index * 32 + bit)
      }
    },
  },
  'the sender announces before it publishes': {
    send: ({ protocol, bell, inbox, ring, count }) => {
      const mustWake = protocol.announce(bell, inbox)
      ring.store(0, count)
      return mustWake
    },
  },
  'the store of the message is a release only': {
    send: ({ protocol, bell, inbox, ring, count }) => {
      // The next load overtakes it, a read-modify-write does not.
      let isHeld = true
      const letGo = () => {
        if (isHeld) ring.store(0, count)
        isHeld = false
      }
      const or: SharedWords['or'] = (index, bits) => {
        letGo()
        return bell.inboxes.or(index, bits)
      }
      const mustWake = protocol.announce({ ...bell, inboxes: { ...bell.inboxes, or } }, inbox)
      letGo()
      return mustWake
    },
  },
  'the sender sets the doorbell before the inbox': {
    announce: ({ words, inboxes }, inbox) => {
      words.or(WORD_DOORBELL, 1 << (inbox >>> 7))
      inboxes.or(inbox >>> 5, 1 << (inbox & 31))
      return words.load(WORD_SLEEPING) === SLEEP_PARKED
    },
  },
  'the sender sets the inbox alone': {
    announce: ({ words, inboxes }, inbox) => {
      inboxes.or(inbox >>> 5, 1 << (inbox & 31))
      return words.load(WORD_SLEEPING) === SLEEP_PARKED
    },
  },
  'the sender leaves waking to another who has set the same bit of the doorbell': {
    announce: ({ words, inboxes }, inbox) => {
      const group = 1 << (inbox >>> 7)
      inboxes.or(inbox >>> 5, 1 << (inbox & 31))
      if ((words.or(WORD_DOORBELL, group) & group) !== 0) return false
      return words.load(WORD_SLEEPING) === SLEEP_PARKED
    },
  },
  'the sender looks for a sleeper before it sets the doorbell': {
    announce: ({ words, inboxes }, inbox) => {
      const mustWake = words.load(WORD_SLEEPING) === SLEEP_PARKED
      inboxes.or(inbox >>> 5, 1 << (inbox & 31))
      words.or(WORD_DOORBELL, 1 << (inbox >>> 7))
      return mustWake
    },
  },
  [WAKES_TWICE]: {
    announce: ({ words, inboxes }, inbox) => {
      inboxes.or(inbox >>> 5, 1 << (inbox & 31))
      words.or(WORD_DOORBELL, 1 << (inbox >>> 7))
      return words.load(WORD_SLEEPING) === SLEEP_PARKED
    },
  },
}

for (const [name, mutation] of Object.entries(MUTANTS)) {
  test(`explore() finds what is wrong when ${name}`, () => {
    const mutant = { ...RIGHT, ...mutation }

    assert.throws(
      () => {
        for (const shape of Object.values(SHAPES)) runModel(shape, mutant)
      },
      {
        name: 'Violation',
        message: name === WAKES_TWICE ? /is wrong: .* wakes once/ : /^receiver will wait/,
      },
    )
  })
}

function bitsOf(word: number): number[] {
  return Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => (word & (1 << bit)) !== 0)
}

/** The words of inboxes that groups have. */
function wordsOf(groups: number): number[] {
  return bitsOf(groups).flatMap((group) => [0, 1, 2, 3].map((index) => group * 4 + index))
}
