import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Answer, Order } from './answers.ts'
import type { Measures } from './measures.ts'

interface Pending {
  resolve(value: unknown): void
  reject(error: Error): void
}

/** A side that could not measure, or has died: one sentence. */
export class SideError extends Error {}

/** Which of the two is measured. */
export type SideName = 'percore' | 'node'

/**
 * A process that measures: percore in one, Node in another, so that neither has the other's event
 * loop under it. It lives for the whole tour, hence warm, and dies with the parent.
 */
export class Side implements Disposable {
  readonly name: SideName
  readonly #child: ChildProcess
  readonly #pending = new Map<number, Pending>()
  #id = 0
  /** Why it measures no more. */
  #end: SideError | null = null

  constructor(name: SideName) {
    this.name = name
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const path = fileURLToPath(new URL(`./${name}-side.${extension}`, import.meta.url))
    this.#child = fork(path, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    this.#child.on('message', (answer: Answer) => this.#settle(answer))
    this.#child.on('error', (error) => this.#fail(error.message))
    this.#child.on('exit', (code, signal) => this.#fail(signal ?? `exit ${code}`))
  }

  /** Measures one thing, once. */
  measure<K extends keyof Measures>(
    name: K,
    args: Parameters<Measures[K]>[0],
  ): Promise<Awaited<ReturnType<Measures[K]>>> {
    if (this.#end !== null) return Promise.reject(this.#end)
    const order: Order = { id: this.#id++, name, args }
    return new Promise((resolve, reject) => {
      this.#pending.set(order.id, { resolve: resolve as (value: unknown) => void, reject })
      this.#child.send(order, (error) => {
        if (error !== null) this.#fail(error.message)
      })
    })
  }

  [Symbol.dispose](): void {
    this.#child.removeAllListeners('exit')
    this.#child.kill('SIGKILL')
  }

  #settle(answer: Answer): void {
    const pending = this.#pending.get(answer.id)
    this.#pending.delete(answer.id)
    if ('failure' in answer) pending?.reject(new SideError(answer.failure))
    else pending?.resolve(answer.value)
  }

  #fail(reason: string): void {
    this.#end ??= new SideError(`the ${this.name} side of the tour ended early: ${reason}`)
    for (const { reject } of this.#pending.values()) reject(this.#end)
    this.#pending.clear()
  }
}
