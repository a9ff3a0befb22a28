import { assert, Heap, type HeapEntry, type Prng } from '../base/index.ts'

/** Something that will happen at a moment of virtual time. */
export class SimEvent implements HeapEntry {
  heapIndex = -1
  readonly atNs: number
  /** Orders equal moments, by the seed. */
  readonly tie: number
  readonly sequence: number
  readonly run: () => void

  constructor(atNs: number, tie: number, sequence: number, run: () => void) {
    this.atNs = atNs
    this.tie = tie
    this.sequence = sequence
    this.run = run
  }
}

/** Virtual time, and what is to happen in it. It stands still unless it is advanced. */
export class SimClock {
  readonly #prng: Prng
  readonly #events = new Heap<SimEvent>(isBefore)
  #nowNs = 1e9
  #sequence = 0

  constructor(prng: Prng) {
    this.#prng = prng
  }

  get nowNs(): number {
    return this.#nowNs
  }

  /** When the next event is due, or Infinity. */
  get nextNs(): number {
    return this.#events.peek()?.atNs ?? Number.POSITIVE_INFINITY
  }

  get eventCount(): number {
    return this.#events.size
  }

  schedule(delayNs: number, run: () => void): SimEvent {
    assert(delayNs >= 0, 'nothing happens in the past')
    const event = new SimEvent(this.#nowNs + delayNs, this.#prng.uint32(), this.#sequence++, run)
    this.#events.push(event)
    return event
  }

  /** Does nothing if it has happened. */
  cancel(event: SimEvent): void {
    if (event.heapIndex !== -1) this.#events.remove(event)
  }

  /** Lets time pass up to `atNs`; everything due on the way happens at its moment. */
  advanceTo(atNs: number): void {
    for (let event = this.#events.peek(); event !== undefined; event = this.#events.peek()) {
      if (event.atNs > atNs) break
      this.#events.pop()
      if (event.atNs > this.#nowNs) this.#nowNs = event.atNs
      event.run()
    }
    if (atNs > this.#nowNs) this.#nowNs = atNs
  }
}

function isBefore(a: SimEvent, b: SimEvent): boolean {
  if (a.atNs !== b.atNs) return a.atNs < b.atNs
  return a.tie !== b.tie ? a.tie < b.tie : a.sequence < b.sequence
}
