import {
  CQE_WORDS,
  IORING_ENTER_GETEVENTS,
  IORING_SQ_CQ_OVERFLOW,
  type Kernel,
  NAME_CLOSE,
  NAME_DESCRIPTOR,
  type RingEntry,
  type RingMemory,
  SLOT_FOREIGN,
  SQE_WORDS,
} from '../kernel/index.ts'

/**
 * What native/quiesce.c does with the queues of a ring that ends: descriptors that nobody has taken over,
 * or that were about to be closed, are added to `owned`.
 */
export function quiesce(
  kernel: Kernel,
  ring: { readonly memory: RingMemory; readonly entry: RingEntry },
  owned: Set<number>,
): void {
  const { memory, entry } = ring
  const { words, layout } = memory
  withdraw(memory, owned)
  do {
    kernel.enter(entry.enterFd, 0, 0, entry.enterFlags | IORING_ENTER_GETEVENTS, -1)
    collect(memory, owned)
  } while (words[layout.sqFlags]! & IORING_SQ_CQ_OVERFLOW)
}

function withdraw({ words, sqes, layout }: RingMemory, owned: Set<number>): void {
  const tail = words[layout.sqTail]!
  for (let index = words[layout.sqHead]!; index !== tail; index = (index + 1) >>> 0) {
    const base = (index & (layout.sqEntryCount - 1)) * SQE_WORDS
    if ((sqes[base + 9]! & NAME_CLOSE) !== 0) owned.add(sqes[base + 1]!)
  }
  words[layout.sqTail] = words[layout.sqHead]!
}

function collect({ words, layout }: RingMemory, owned: Set<number>): void {
  const tail = words[layout.cqTail]!
  for (let head = words[layout.cqHead]!; head !== tail; head = (head + 1) >>> 0) {
    const base = layout.cqes + (head & (layout.cqEntryCount - 1)) * CQE_WORDS
    if ((words[base]! | 0) === SLOT_FOREIGN) continue
    const result = words[base + 2]! | 0
    if ((words[base + 1]! & NAME_DESCRIPTOR) !== 0 && result >= 0) owned.add(result)
  }
  words[layout.cqHead] = tail
}
