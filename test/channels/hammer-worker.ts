/**
 * One of two threads that send each other numbers and frames by the executor's doorbells, and sleep as its loop
 * does, with `Atomics.wait()` in the place of the kernel's ring.
 */
import assert from 'node:assert/strict'
import { parentPort, workerData } from 'node:worker_threads'
import { Prng } from '../../src/base/index.ts'
import {
  frameCellsMax,
  SpscFrameConsumer,
  SpscFrameProducer,
  SpscNumberConsumer,
  SpscNumberProducer,
  type SpscRing,
} from '../../src/channels/shared/index.ts'
import { SLEEP_NO, SLEEP_PARKED, WORD_DOORBELL, WORD_SLEEPING } from '../../src/kernel/index.ts'
import { type DoorbellWords, ringDoorbell, takeRung } from '../../src/reactor/index.ts'

/** What both threads are given, each with its own `self`. */
export interface HammerPart {
  /** 0 or 1. */
  readonly self: number
  readonly seed: number
  /** Messages in each ring. */
  readonly messageCount: number
  /** By the thread that sends into it. */
  readonly numberRings: readonly SpscRing[]
  readonly frameRings: readonly SpscRing[]
  /** By the thread that it wakes. */
  readonly doorbells: readonly DoorbellWords[]
  /** By the thread that they wake: how often it was woken, where a ring would have completions. */
  readonly wakes: readonly Int32Array[]
}

/** What a thread has done. */
export interface HammerReport {
  readonly received: number
  /** Inboxes that it took from its doorbell. */
  readonly takenCount: number
  readonly sleepCount: number
  readonly wakeCount: number
}

// Inboxes of each doorbell: what comes, and room in what goes. The latter are of another group than the former.
const NUMBERS_IN = 0
const FRAMES_IN = 1
const NUMBERS_ROOM = 140
const FRAMES_ROOM = 141

/** How much is sent or taken before the thread looks at the rest, at most. */
const BURST = 12

class Hammer {
  readonly #prng: Prng
  readonly #messageCount: number
  readonly #doorbell: DoorbellWords
  readonly #wakes: Int32Array
  readonly #peerDoorbell: DoorbellWords
  readonly #peerWakes: Int32Array
  readonly #numbersOut: SpscNumberProducer
  readonly #framesOut: SpscFrameProducer
  readonly #numbersIn: SpscNumberConsumer
  readonly #framesIn: SpscFrameConsumer
  /** Inboxes that there is something to do for: in the beginning, all. */
  readonly #pending = new Set([NUMBERS_IN, FRAMES_IN, NUMBERS_ROOM, FRAMES_ROOM])
  readonly #batch: Float64Array = new Float64Array(BURST)
  #numbersSent = 0
  #framesSent = 0
  #numbersTaken = 0
  #framesTaken = 0
  #wakesSeen = 0
  #takenCount = 0
  #sleepCount = 0
  #wakeCount = 0

  constructor({ self, seed, messageCount, numberRings, frameRings, doorbells, wakes }: HammerPart) {
    const other = 1 - self
    this.#prng = new Prng(seed * 2 + self)
    this.#messageCount = messageCount
    this.#doorbell = doorbells[self]!
    this.#wakes = wakes[self]!
    this.#peerDoorbell = doorbells[other]!
    this.#peerWakes = wakes[other]!
    this.#numbersOut = SpscNumberProducer.attach(numberRings[self]!)
    this.#framesOut = SpscFrameProducer.attach(frameRings[self]!)
    this.#numbersIn = SpscNumberConsumer.attach(numberRings[other]!)
    this.#framesIn = SpscFrameConsumer.attach(frameRings[other]!)
  }

  run(): HammerReport {
    while (!this.#isDone()) {
      takeRung(this.#doorbell, (inbox) => {
        this.#takenCount++
        this.#pending.add(inbox)
      })
      if (this.#pending.size === 0) {
        this.#sleep()
        continue
      }
      // Any order, and sometimes less than all: as it is among many tasks.
      for (const inbox of this.#pending) {
        if (this.#prng.uint32() % 4 === 0) continue
        if (!this.#serve(inbox)) this.#pending.delete(inbox)
      }
    }
    const received = this.#numbersTaken + this.#framesTaken
    return {
      received,
      takenCount: this.#takenCount,
      sleepCount: this.#sleepCount,
      wakeCount: this.#wakeCount,
    }
  }

  #isDone(): boolean {
    return (
      this.#numbersOut.isClosed &&
      this.#framesOut.isClosed &&
      this.#numbersIn.isEnded &&
      this.#framesIn.isEnded
    )
  }

  #sleep(): void {
    const { words } = this.#doorbell
    this.#sleepCount++
    Atomics.store(words, WORD_SLEEPING, SLEEP_PARKED)
    if (Atomics.load(words, WORD_DOORBELL) === 0) {
      Atomics.wait(this.#wakes, 0, this.#wakesSeen)
      this.#wakesSeen = Atomics.load(this.#wakes, 0)
    }
    Atomics.store(words, WORD_SLEEPING, SLEEP_NO)
  }

  #ring(inbox: number): void {
    if (!ringDoorbell(this.#peerDoorbell, inbox)) return
    this.#wakeCount++
    Atomics.add(this.#peerWakes, 0, 1)
    Atomics.notify(this.#peerWakes, 0)
  }

  /** Does some of what there is to do for an inbox; false when there is no more. */
  #serve(inbox: number): boolean {
    const burst = 1 + (this.#prng.uint32() % BURST)
    switch (inbox) {
      case NUMBERS_IN:
        return this.#takeNumbers(burst)
      case FRAMES_IN:
        return this.#takeFrames(burst)
      case NUMBERS_ROOM:
        return this.#sendNumbers(burst)
      default:
        return this.#sendFrames(burst)
    }
  }

  #sendNumbers(burst: number): boolean {
    const producer = this.#numbersOut
    if (producer.isClosed) return false
    const count = Math.min(burst, this.#messageCount - this.#numbersSent)
    for (let index = 0; index < count; index++) this.#batch[index] = this.#numbersSent + index
    const sent = producer.pushBatch(this.#batch, 0, count)
    this.#numbersSent += sent
    if (this.#numbersSent === this.#messageCount) producer.close()
    if (sent > 0) this.#ring(NUMBERS_IN)
    return sent === count ? !producer.isClosed : producer.requestRoom()
  }

  #sendFrames(burst: number): boolean {
    const producer = this.#framesOut
    if (producer.isClosed) return false
    const from = this.#framesSent
    const to = Math.min(from + burst, this.#messageCount)
    while (this.#framesSent < to && this.#stageFrame(this.#framesSent)) this.#framesSent++
    producer.publish()
    if (this.#framesSent === this.#messageCount) producer.close()
    if (this.#framesSent > from) this.#ring(FRAMES_IN)
    if (this.#framesSent === to) return !producer.isClosed
    return producer.requestRoom(frameCellsMax(frameLength(to)))
  }

  #stageFrame(message: number): boolean {
    const producer = this.#framesOut
    const length = frameLength(message)
    const offset = producer.beginFrame(length)
    if (offset === -1) return false
    for (let index = 0; index < length; index++) producer.bytes[offset + index] = message + index
    producer.commitFrame(length)
    return true
  }

  #takeNumbers(burst: number): boolean {
    const consumer = this.#numbersIn
    const count = consumer.popInto(this.#batch.subarray(0, burst))
    for (let index = 0; index < count; index++) {
      assert.equal(this.#batch[index], this.#numbersTaken++, 'numbers come in order')
    }
    if (count > 0 && consumer.takeRoomRequest()) this.#ring(NUMBERS_ROOM)
    return count > 0
  }

  #takeFrames(burst: number): boolean {
    const consumer = this.#framesIn
    let count = 0
    for (; count < burst; count++) {
      const offset = consumer.nextFrame()
      if (offset === -1) break
      this.#checkFrame(offset)
    }
    if (count === 0) return false
    consumer.release()
    if (consumer.takeRoomRequest()) this.#ring(FRAMES_ROOM)
    return true
  }

  #checkFrame(offset: number): void {
    const { bytes, frameLength: length } = this.#framesIn
    const message = this.#framesTaken++
    assert.equal(length, frameLength(message), 'frames come in order')
    for (let index = 0; index < length; index++) {
      assert.equal(bytes[offset + index], (message + index) & 255, 'frames come whole')
    }
  }
}

/** Up to 24 bytes: as long as a frame can be in the smallest ring that the test makes. */
function frameLength(message: number): number {
  return (message * 7) % 25
}

parentPort?.postMessage(new Hammer(workerData as HammerPart).run())
