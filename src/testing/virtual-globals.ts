import { NS_PER_MS } from '../base/index.ts'
import { currentOrNull, type Executor } from '../executor/index.ts'

const RealDate = Date
const realDateNow = Date.now
const realNow = performance.now
const realRandom = Math.random

/** What a program of the simulation sees of time and chance; other code sees the real ones. */
export class VirtualGlobals {
  readonly #isSimulated: (executor: Executor) => boolean
  readonly #originMs = new WeakMap<Executor, number>()
  #userCount = 0
  #put: readonly (() => void)[] = []

  constructor(isSimulated: (executor: Executor) => boolean) {
    this.#isSimulated = isSimulated
  }

  /** Puts them in place, until as many have called {@link release}. */
  use(executor: Executor): void {
    this.#originMs.set(executor, executor.nowNs() / NS_PER_MS)
    if (this.#userCount++ > 0) return
    this.#put = [
      replace(globalThis, 'Date', RealDate, this.#createDate()),
      replace(performance, 'now', realNow, () => this.#nowMs()),
      replace(Math, 'random', realRandom, () => {
        return this.#executor()?.kernel.random() ?? realRandom()
      }),
    ]
  }

  release(): void {
    if (--this.#userCount > 0) return
    for (const restore of this.#put) restore()
    this.#put = []
  }

  /** The simulated executor of the running code, or null. */
  #executor(): Executor | null {
    const current = currentOrNull()
    return current !== null && !current.isClosed && this.#isSimulated(current) ? current : null
  }

  #nowMs(): number {
    const executor = this.#executor()
    if (executor === null) return realNow.call(performance)
    return executor.nowNs() / NS_PER_MS - this.#originMs.get(executor)!
  }

  /** Not a class that extends Date: what it makes are dates as any other, also to `constructor`. */
  #createDate(): DateConstructor {
    const wallClockMs = (): number | undefined => this.#executor()?.kernel.wallClockMs()
    const now = (): number => wallClockMs() ?? RealDate.now()
    return new Proxy(RealDate, {
      get: (target, name, receiver) => {
        const value: unknown = Reflect.get(target, name, receiver)
        // Another one is a test's.
        return value === realDateNow ? now : value
      },
      apply: (target) => {
        const ms = wallClockMs()
        return ms === undefined ? target() : new RealDate(ms).toString()
      },
      construct: (target, args, newTarget) => {
        const ms = args.length === 0 ? wallClockMs() : undefined
        // `new.target` of a subclass is kept, so that it makes its own kind.
        return Reflect.construct(target, ms === undefined ? args : [ms], newTarget)
      },
    })
  }
}

/** Puts `value` in the place of the genuine one; a fake of a test's stays. Returns what undoes it. */
function replace<T extends object, K extends keyof T>(
  target: T,
  name: K,
  genuine: T[K],
  value: T[K],
): () => void {
  const descriptor = Object.getOwnPropertyDescriptor(target, name)
  const found = target[name]
  if (found !== genuine || descriptor?.configurable === false) return () => {}
  Object.defineProperty(target, name, {
    configurable: true,
    enumerable: descriptor?.enumerable ?? false,
    writable: true,
    value,
  })
  return () => {
    // A test that has put its own there meanwhile keeps it.
    if (target[name] !== value) return
    if (descriptor === undefined) delete (target as Record<PropertyKey, unknown>)[name]
    else Object.defineProperty(target, name, descriptor)
  }
}
