import { type Executor, executor, refuse } from '../executor/index.ts'
import { type BlockingCallOptions, BlockingPool, checkRequest } from './blocking-pool.ts'

const pools = new WeakMap<Executor, BlockingPool>()

/** The pool of an executor for those who have none of their own. */
function defaultPool(): BlockingPool {
  const current = executor()
  let pool = pools.get(current)
  if (pool === undefined) {
    pool = new BlockingPool()
    pools.set(current, pool)
  }
  return pool
}

/**
 * Calls a function of a module in another thread, of up to four that this executor has for that.
 *
 * As {@link BlockingPool.call}, whose promise it returns.
 *
 * @example A hash that takes its time
 * ```ts run
 * import { spawnBlocking } from 'percore/blocking'
 *
 * const key = await spawnBlocking('node:crypto', 'pbkdf2Sync', ['pass', 'salt', 50_000, 32, 'sha256'])
 * console.log((key as Uint8Array).length) // 32
 * ```
 */
export function spawnBlocking(
  module: URL | string,
  name: string,
  values: readonly unknown[] = [],
  options?: BlockingCallOptions,
): Promise<unknown> {
  try {
    return defaultPool().call(module, name, values, options)
  } catch (error) {
    return refuse(error)
  }
}

/** Names of the functions that a module exports. */
export type FunctionName<M> = {
  [Name in keyof M]: M[Name] extends (...values: never[]) => unknown ? Name : never
}[keyof M] &
  string

/** What a function takes. */
export type ValuesOf<F> = F extends (...values: infer V) => unknown ? V : never

/** What the promise of a function's result resolves to. */
export type ResultOf<F> = F extends (...values: never[]) => infer R ? Awaited<R> : never

/** The functions of a module, to be called in other threads. Made by {@link blocking}. */
export class BlockingModule<M> {
  readonly url: string
  readonly #pool: BlockingPool | null

  /** @internal */
  constructor(url: string, pool: BlockingPool | null) {
    this.url = url
    this.#pool = pool
  }

  /** Calls a function of the module, as {@link BlockingPool.call} does. */
  call<Name extends FunctionName<M>>(
    name: Name,
    values: ValuesOf<M[Name]>,
    options?: BlockingCallOptions,
  ): Promise<ResultOf<M[Name]>> {
    try {
      const pool = this.#pool ?? defaultPool()
      return pool.call(this.url, name, values as readonly unknown[], options) as Promise<
        ResultOf<M[Name]>
      >
    } catch (error) {
      return refuse(error)
    }
  }
}

/**
 * The functions of a module with their types, to be called in other threads: of `pool`, or of those that the executor has.
 *
 * Loads nothing yet. The module should have nothing but such functions: it is loaded by every thread, with all that it does
 * while it is.
 *
 * @throws {TypeError} for what is no URL.
 *
 * @example With the types of the module
 * ```ts run
 * import { blocking } from 'percore/blocking'
 *
 * const zlib = blocking<typeof import('node:zlib')>('node:zlib')
 * const packed = await zlib.call('gzipSync', ['a'.repeat(100_000)])
 * console.log(packed.length < 1000) // true
 * ```
 */
export function blocking<M>(module: URL | string, pool?: BlockingPool): BlockingModule<M> {
  return new BlockingModule<M>(checkRequest(module, 'any').module, pool ?? null)
}
