import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createChannel } from '../../src/channels/index.ts'
import { settle, type Watched, watch } from '../sync/watch.ts'

type Step =
  | { readonly kind: 'send' | 'receive' | 'trySend' | 'tryReceive' | 'turn' }
  | { readonly kind: 'closeSender' | 'closeReceiver' }
  | { readonly kind: 'abort'; readonly pick: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constantFrom('send' as const, 'receive' as const) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('trySend' as const, 'tryReceive' as const) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('abort' as const), pick: fc.nat({ max: 1000 }) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('turn' as const) }) },
)
const ending = fc.constantFrom<Step>({ kind: 'closeSender' }, { kind: 'closeReceiver' })

interface Wait {
  readonly controller: AbortController
  readonly watched: Watched<unknown>
  /** What a send carries, or a receive is given. */
  value: number | undefined
  state: 'pending' | 'fulfilled' | 'rejected'
}

/** The reference: three arrays. */
class Model {
  readonly #capacity: number
  readonly items: number[] = []
  readonly senders: Wait[] = []
  readonly receivers: Wait[] = []
  isSenderClosed = false
  isReceiverClosed = false

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get isFull(): boolean {
    return this.items.length >= this.#capacity
  }

  get isClosed(): boolean {
    return this.isSenderClosed || this.isReceiverClosed
  }

  put(value: number): void {
    const receiver = this.receivers.shift()
    if (receiver === undefined) this.items.push(value)
    else end(receiver, 'fulfilled', value)
  }

  take(): number | undefined {
    const value = this.items.shift()
    const sender = this.senders.shift()
    if (sender !== undefined) {
      this.items.push(sender.value!)
      end(sender, 'fulfilled')
    }
    return value
  }

  abort(wait: Wait): void {
    for (const list of [this.senders, this.receivers]) {
      const index = list.indexOf(wait)
      if (index === -1) continue
      list.splice(index, 1)
      end(wait, 'rejected')
    }
  }

  close(kind: 'closeSender' | 'closeReceiver'): void {
    if (kind === 'closeSender') this.isSenderClosed = true
    else this.isReceiverClosed = true
    for (const receiver of this.receivers.splice(0)) end(receiver, 'fulfilled', undefined)
    if (!this.isReceiverClosed) return
    this.items.length = 0
    for (const sender of this.senders.splice(0)) end(sender, 'rejected')
  }
}

function end(wait: Wait, state: Wait['state'], value = wait.value): void {
  wait.state = state
  wait.value = value
}

class Run {
  readonly #channel: ReturnType<typeof createChannel<number>>
  readonly model: Model
  readonly sends: Wait[] = []
  readonly receives: Wait[] = []
  #nextValue = 0

  constructor(capacity: number) {
    this.#channel = createChannel<number>({ capacity })
    this.model = new Model(capacity)
  }

  async apply(taken: Step): Promise<void> {
    const { sender, receiver } = this.#channel
    const { model } = this
    if (taken.kind === 'send') this.#send()
    else if (taken.kind === 'receive') this.#receive()
    else if (taken.kind === 'trySend') this.#trySend()
    else if (taken.kind === 'tryReceive') assert.equal(receiver.tryReceive(), model.take())
    else if (taken.kind === 'abort') this.#abort(taken.pick)
    else if (taken.kind === 'turn') await this.#settle()
    else {
      if (taken.kind === 'closeSender') sender.close()
      else receiver.close()
      model.close(taken.kind)
    }
    assert.equal(receiver.length, model.items.length)
  }

  #send(): void {
    const value = this.#nextValue++
    const controller = new AbortController()
    const watched = watch(this.#channel.sender.send(value, { signal: controller.signal }))
    const wait: Wait = { controller, watched, value, state: 'pending' }
    this.sends.push(wait)
    const { model } = this
    if (model.isClosed) end(wait, 'rejected')
    else if (model.isFull) model.senders.push(wait)
    else {
      model.put(value)
      end(wait, 'fulfilled')
    }
  }

  #receive(): void {
    const controller = new AbortController()
    const watched = watch(this.#channel.receiver.receive({ signal: controller.signal }))
    const wait: Wait = { controller, watched, value: undefined, state: 'pending' }
    this.receives.push(wait)
    const { model } = this
    if (model.items.length > 0) end(wait, 'fulfilled', model.take())
    else if (model.isClosed) end(wait, 'fulfilled')
    else model.receivers.push(wait)
  }

  #trySend(): void {
    const value = this.#nextValue++
    const { model } = this
    if (model.isClosed || model.isFull) {
      assert.throws(() => this.#channel.sender.trySend(value), { value })
    } else {
      this.#channel.sender.trySend(value)
      model.put(value)
    }
  }

  #abort(pick: number): void {
    const waits = [...this.sends, ...this.receives]
    const wait = waits[pick % Math.max(1, waits.length)]
    if (wait === undefined) return
    wait.controller.abort(new Error('aborted'))
    this.model.abort(wait)
  }

  async #settle(): Promise<void> {
    await settle()
    for (const { watched, state } of this.sends) assert.equal(watched.state, state)
    for (const { watched, state, value } of this.receives) {
      assert.equal(watched.state, state)
      if (state === 'fulfilled') assert.equal(watched.value, value)
    }
  }
}

test('a channel does what arrays do, whatever is sent, received, aborted and closed when', async () => {
  const property = fc.asyncProperty(
    fc.constantFrom(1, 2, 5, Number.POSITIVE_INFINITY),
    fc.array(step, { maxLength: 60 }),
    ending,
    fc.array(step, { maxLength: 20 }),
    async (capacity, steps, closing, laterSteps) => {
      const run = new Run(capacity)

      for (const taken of [...steps, closing, ...laterSteps]) await run.apply(taken)
      while (run.model.items.length > 0) await run.apply({ kind: 'tryReceive' })
      await run.apply({ kind: 'turn' })

      const waits = [...run.sends, ...run.receives]
      assert.ok(
        waits.every(({ watched }) => watched.state !== 'pending'),
        'nobody is stuck',
      )
    },
  )

  await fc.assert(property, { numRuns: 300 })
})
