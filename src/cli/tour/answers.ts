/** The half of a side of the tour that runs in its own process: takes orders, answers with figures. */

import type { Measures } from './measures.ts'

/** One order of the parent. */
export interface Order {
  readonly id: number
  readonly name: keyof Measures
  readonly args: unknown
}

/** What became of an order. */
export type Answer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly failure: string }

/** What a side can do: some of the measures. */
export type Abilities = { readonly [K in keyof Measures]?: Measures[K] }

/** Answers the orders of the parent, until it hangs up. */
export function answerOrders(abilities: Abilities): void {
  process.on('message', (order: Order) => void answer(abilities, order))
  process.on('disconnect', () => process.exit(0))
  // The parent decides what an interrupt means, and hangs up.
  process.on('SIGINT', () => {})
}

async function answer(abilities: Abilities, { id, name, args }: Order): Promise<void> {
  const measure = abilities[name] as ((args: unknown) => Promise<unknown>) | undefined
  try {
    if (measure === undefined) throw new Error(`Cannot measure ${name} on this side`)
    reply({ id, value: await measure(args) })
  } catch (error) {
    reply({ id, failure: error instanceof Error ? error.message : String(error) })
  }
}

function reply(answer: Answer): void {
  process.send?.(answer)
}
