/** Doorbells in the memory of a model, and threads that sleep by them. */
import type { SharedWords } from '../../src/channels/shared/index.ts'
import { SLEEP_NO, SLEEP_PARKED, WORD_DOORBELL, WORD_SLEEPING } from '../../src/kernel/index.ts'
import {
  type DoorbellAtomics,
  type DoorbellWords,
  ringDoorbell,
  takeRung,
} from '../../src/reactor/index.ts'
import type { World } from '../interleavings.ts'

/** What {@link DoorbellWords} are in a model. */
export interface ModelDoorbell {
  readonly words: SharedWords
  readonly inboxes: SharedWords
}

export function openDoorbell(world: World, thread: string): ModelDoorbell {
  return { words: world.words(thread), inboxes: world.words(`${thread}'s inboxes`) }
}

/** `Atomics` whose arrays are the words of a model. */
const MODEL_ATOMICS = {
  load: (words: SharedWords, index: number) => words.load(index),
  or: (words: SharedWords, index: number, bits: number) => words.or(index, bits),
  exchange: (words: SharedWords, index: number, value: number) => words.exchange(index, value),
} as unknown as DoorbellAtomics

/** The executor's own `ringDoorbell()`. */
export function ring(doorbell: ModelDoorbell, inbox: number): boolean {
  return ringDoorbell(asArrays(doorbell), inbox, MODEL_ATOMICS)
}

/** The executor's own `takeRung()`. */
export function take(doorbell: ModelDoorbell, look: (inbox: number) => void): void {
  takeRung(asArrays(doorbell), look, MODEL_ATOMICS)
}

/** What native/loop.c does before it parks: whether it may. */
export function beginSleep({ words }: ModelDoorbell): boolean {
  words.store(WORD_SLEEPING, SLEEP_PARKED)
  return words.load(WORD_DOORBELL) === 0
}

/** And afterwards, whether it has parked or not. */
export function endSleep({ words }: ModelDoorbell): void {
  words.store(WORD_SLEEPING, SLEEP_NO)
}

function asArrays({ words, inboxes }: ModelDoorbell): DoorbellWords {
  return { words, inboxes } as unknown as DoorbellWords
}
