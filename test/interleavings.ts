/**
 * A model checker for protocols between threads: tries every order in which their accesses to shared memory
 * can happen, and so finds the one that nobody thought of.
 *
 * The threads of a model are functions that call the protocols' own code, on the words and cells of a
 * {@link World}. A function is run anew from its start for each access it has come to, with the answers to
 * those before given again, up to the access that is new; so it must do nothing that depends on anything but
 * these answers. What it does for a list of answers is remembered, hence most steps only look that up.
 *
 * Memory is sequentially consistent. That is all there is in a program without data races, by JavaScript's
 * memory model: whatever threads race for is atomic, and plain accesses are ordered by that. So two accesses to one
 * cell that could happen at once, one of them plain and one a write, are a failure here. The exception is `peek`, of a word
 * that is set once: it may see what was there before.
 */
import type { SharedWords } from '../src/channels/shared/index.ts'

/** What threads share. Each call is one step, before which any other thread may do any number of its own. */
export interface World {
  words(name: string): SharedWords
  /** Plain memory. */
  cells(name: string): { [index: number]: number }
  /** Sleeps until somebody {@link wake}s; a wake that came before counts, as a completion in a ring does. */
  park(name: string): void
  wake(name: string): void
  /** Stands for a loop that looks at these words until one is no longer as it was seen. */
  untilChanged(...seen: readonly { name: string; index: number; value: number }[]): void
  /**
   * Says that what the thread does from here on depends on these alone, whatever led here. No step: it only
   * spares the checker what it has tried already. Must come right before an access.
   */
  mark(...locals: readonly unknown[]): void
}

export interface Model {
  /** By name; what they return is the outcome. */
  readonly threads: Readonly<Record<string, (world: World) => unknown>>
  /** Throws when the outcomes, by name, are not what they should be. Called for every end. */
  check(outcomes: Readonly<Record<string, unknown>>): void
  /** Words that are not zero in the beginning: `name.index`. */
  readonly initial?: Readonly<Record<string, number>>
}

/** What was tried. */
export interface Explored {
  readonly stateCount: number
  readonly endCount: number
}

/** An order of steps after which something is wrong, told step by step. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

const STATES_MAX = 5_000_000
const CELLS_MAX = 64

/** Tries all of it. @throws {Violation} at the first order that goes wrong. */
export function explore(model: Model): Explored {
  return new Explorer(model).run()
}

type Kind =
  | 'load'
  | 'peek'
  | 'store'
  | 'exchange'
  | 'compareExchange'
  | 'or'
  | 'plainLoad'
  | 'plainStore'
  | 'park'
  | 'wake'
  | 'untilChanged'

interface Access {
  readonly kind: Kind
  readonly cell: string
  readonly value: number
  readonly expected: number
  readonly seen: readonly { cell: string; value: number }[]
}

const WRITES = new Set<Kind>(['store', 'exchange', 'compareExchange', 'or', 'plainStore'])
const PLAIN = new Set<Kind>(['plainLoad', 'plainStore'])

/** Thrown to leave a thread at the access that it has come to. Never seen by who writes models. */
const SUSPENDED = Symbol('suspended')

/** A thread at one point: all that it was answered has led to this access, to its outcome, or to a failure. */
class Point {
  readonly id: number
  readonly answers: readonly number[]
  readonly access: Access | undefined
  readonly outcome: unknown
  readonly failure: unknown
  /** All that the thread knows here, if it says so. */
  readonly locals: string | undefined
  readonly next = new Map<number, Point>()

  constructor(id: number, body: (world: World) => unknown, answers: readonly number[]) {
    this.id = id
    this.answers = answers
    const replay = new Replay(answers)
    try {
      this.outcome = body(replay)
    } catch (error) {
      if (error !== SUSPENDED) this.failure = error
    }
    this.access = replay.pending
    this.locals = replay.locals
  }
}

class Replay implements World {
  pending: Access | undefined
  locals: string | undefined
  readonly #answers: readonly number[]
  #position = 0

  constructor(answers: readonly number[]) {
    this.#answers = answers
  }

  words(name: string): SharedWords {
    const at = (index: number) => `${name}.${index}`
    return {
      load: (index) => this.#access('load', at(index)),
      peek: (index) => this.#access('peek', at(index)),
      store: (index, value) => void this.#access('store', at(index), value),
      exchange: (index, value) => this.#access('exchange', at(index), value),
      compareExchange: (index, expected, value) =>
        this.#access('compareExchange', at(index), value, expected),
      or: (index, bits) => this.#access('or', at(index), bits),
    }
  }

  cells(name: string): { [index: number]: number } {
    return new Proxy<{ [index: number]: number }>(
      {},
      {
        get: (_, index) => this.#access('plainLoad', `${name}[${String(index)}]`),
        set: (_, index, value: number) => {
          this.#access('plainStore', `${name}[${String(index)}]`, value)
          return true
        },
      },
    )
  }

  park(name: string): void {
    this.#access('park', `${name}.wakes`)
  }

  wake(name: string): void {
    this.#access('wake', `${name}.wakes`)
  }

  untilChanged(...seen: readonly { name: string; index: number; value: number }[]): void {
    const cells = seen.map(({ name, index, value }) => ({ cell: `${name}.${index}`, value }))
    this.#access('untilChanged', cells[0]!.cell, 0, 0, cells)
  }

  mark(...locals: readonly unknown[]): void {
    this.locals = JSON.stringify(locals)
  }

  #access(kind: Kind, cell: string, value = 0, expected = 0, seen: Access['seen'] = []): number {
    if (this.#position < this.#answers.length) {
      this.locals = undefined
      return this.#answers[this.#position++]!
    }
    this.pending = { kind, cell, value, expected, seen }
    throw SUSPENDED
  }
}

interface State {
  readonly memory: readonly number[]
  readonly points: readonly Point[]
  readonly before: State | undefined
  /** The thread whose step led here. */
  readonly thread: number
}

class Explorer {
  readonly #names: readonly string[]
  readonly #bodies: readonly ((world: World) => unknown)[]
  readonly #model: Model
  readonly #cellIndexes = new Map<string, number>()
  readonly #seen = new Set<string>()
  readonly #marked = new Map<string, Point>()
  readonly #stack: State[] = []
  #pointCount = 0
  #endCount = 0

  constructor(model: Model) {
    this.#model = model
    this.#names = Object.keys(model.threads)
    this.#bodies = Object.values(model.threads)
  }

  run(): Explored {
    const memory: number[] = new Array(CELLS_MAX).fill(0)
    for (const [cell, value] of Object.entries(this.#model.initial ?? {})) {
      memory[this.#indexOf(cell)] = value
    }
    this.#push({
      memory,
      points: this.#bodies.map((_, thread) => this.#makePoint(thread, [])),
      before: undefined,
      thread: -1,
    })
    for (let state = this.#stack.pop(); state !== undefined; state = this.#stack.pop()) {
      this.#visit(state)
    }
    return { stateCount: this.#seen.size, endCount: this.#endCount }
  }

  #visit(state: State): void {
    this.#checkRaces(state)
    let canGo = false
    for (let thread = 0; thread < this.#names.length; thread++) {
      if (this.#step(state, thread)) canGo = true
    }
    if (canGo) return
    const stuck = this.#names.filter((_, thread) => state.points[thread]!.access !== undefined)
    if (stuck.length > 0) throw this.#violation(state, `${stuck.join(' and ')} will wait for ever`)
    this.#endCount++
    const outcomes = this.#names.map((name, thread) => [name, state.points[thread]!.outcome])
    try {
      this.#model.check(Object.fromEntries(outcomes))
    } catch (error) {
      throw this.#violation(state, `the outcome is wrong: ${String(error)}`)
    }
  }

  /** Does the next step of a thread, for every answer it can get; false if it has to wait, or has ended. */
  #step(state: State, thread: number): boolean {
    const access = state.points[thread]!.access
    if (access === undefined) return false
    const { kind, value, expected } = access
    const index = this.#indexOf(access.cell)
    const current = state.memory[index]!
    switch (kind) {
      case 'load':
      case 'plainLoad':
        return this.#go(state, thread, current)
      case 'peek':
        if (current !== 0) this.#go(state, thread, 0)
        return this.#go(state, thread, current)
      case 'store':
      case 'plainStore':
      case 'exchange':
        return this.#go(state, thread, kind === 'exchange' ? current : 0, [index, value])
      case 'compareExchange':
        return this.#go(state, thread, current, current === expected ? [index, value] : undefined)
      case 'or':
        return this.#go(state, thread, current, [index, current | value])
      case 'wake':
        return this.#go(state, thread, 0, [index, current + 1])
      case 'park':
        return current > 0 && this.#go(state, thread, 0, [index, 0])
      case 'untilChanged':
        return (
          access.seen.some(({ cell, value }) => state.memory[this.#indexOf(cell)] !== value) &&
          this.#go(state, thread, 0)
        )
    }
  }

  #go(state: State, thread: number, answer: number, write?: readonly [number, number]): true {
    const point = state.points[thread]!
    let next = point.next.get(answer)
    if (next === undefined) {
      next = this.#makePoint(thread, [...point.answers, answer])
      point.next.set(answer, next)
    }
    const memory = write === undefined ? state.memory : state.memory.with(write[0], write[1])
    const points = state.points.with(thread, next)
    const after = { memory, points, before: state, thread }
    if (next.failure !== undefined) {
      // A mistake in the model is none of what it models.
      if ((next.failure as { code?: unknown }).code !== 'ERR_ASSERTION') throw next.failure
      throw this.#violation(after, `${this.#names[thread]} fails: ${String(next.failure)}`)
    }
    this.#push(after)
    return true
  }

  #push(state: State): void {
    const points = state.points.map(({ id }) => id)
    const memory = state.memory.slice(0, this.#cellIndexes.size)
    // Trailing zeros tell nothing, and cells are found on the way.
    while (memory.at(-1) === 0) memory.pop()
    const key = `${points.join()};${memory.join()}`
    if (this.#seen.has(key)) return
    this.#seen.add(key)
    if (this.#seen.size > STATES_MAX) throw new Error('Cannot explore a model of so many states')
    this.#stack.push(state)
  }

  #checkRaces(state: State): void {
    for (const [one, { access: first }] of state.points.entries()) {
      if (first === undefined) continue
      for (const { access: second } of state.points.slice(one + 1)) {
        if (second === undefined || first.cell !== second.cell) continue
        const isPlain = PLAIN.has(first.kind) || PLAIN.has(second.kind)
        const isWritten = WRITES.has(first.kind) || WRITES.has(second.kind)
        if (isPlain && isWritten) throw this.#violation(state, `a data race for ${first.cell}`)
      }
    }
  }

  #violation(state: State, what: string): Violation {
    const lines: string[] = []
    for (let at = state; at.before !== undefined; at = at.before) {
      const { kind, cell, value } = at.before.points[at.thread]!.access!
      const point = at.points[at.thread]!
      lines.push(`  ${this.#names[at.thread]}: ${kind} ${cell} ${value} → ${point.answers.at(-1)}`)
    }
    return new Violation(`${what}, after\n${lines.reverse().join('\n')}`)
  }

  #makePoint(thread: number, answers: readonly number[]): Point {
    const point = new Point(this.#pointCount++, this.#bodies[thread]!, answers)
    if (point.locals === undefined) return point
    const key = `${thread} ${point.locals}`
    const known = this.#marked.get(key)
    if (known === undefined) this.#marked.set(key, point)
    return known ?? point
  }

  #indexOf(cell: string): number {
    let index = this.#cellIndexes.get(cell)
    if (index === undefined) {
      index = this.#cellIndexes.size
      if (index === CELLS_MAX) throw new Error('Cannot explore a model of so many cells')
      this.#cellIndexes.set(cell, index)
    }
    return index
  }
}
