import { assert } from '../base/index.ts'

/** So many may be looked at; more are told by whoever sends. */
const POLLS_MAX = 4
/** A turn looks so often before it ends: for some five microseconds, in which a thread that is awake answers. */
const LOOK_COUNT = 512
/** After each so many, less one, it looks whether the thread is wanted for something else. */
const OTHERS_MASK = 7

/** Something that another thread may leave in shared memory at any moment. */
export interface Poll {
  /** Whether it has, or nobody waits for it any more. */
  readonly hasNews: boolean
  /** It has news, and is looked at no longer: hands on what has come. Runs no user code. */
  goOn(): void
  /** It is looked at no longer: has the other thread tell. */
  ask(): void
}

/** The part of a reactor that polling looks at. */
export interface PollSources {
  /** Whether the thread spins before it parks, and there is a CPU for that. */
  readonly maySpin: boolean
  readonly doorbell: { readonly hasRung: boolean }
  readonly main: { readonly unsubmittedCount: number; readonly readyCount: number }
}

/**
 * What a turn looks at before it ends, on a thread that spins.
 *
 * Being told by the doorbell costs either thread several lines of memory that go from one processor to the other, and
 * the way through C and back: several times what an answer takes that is found where it is left. Belongs to
 * {@link FollowUps}, which opens it for a turn that it follows up, and closes it as it leaves that: whatever was not found
 * by then is asked for, before the thread can sleep.
 */
export class Polls {
  readonly #sources: PollSources
  readonly #polls: Poll[] = []
  #isOpen = false

  constructor(sources: PollSources) {
    this.#sources = sources
  }

  get size(): number {
    return this.#polls.length
  }

  /** A turn has begun that looks before it ends. */
  open(): void {
    assert(this.#polls.length === 0, 'what was polled for before has been asked to ring')
    this.#isOpen = this.#sources.maySpin
  }

  /** Has the turn look; false where it does not: the caller asks at once. */
  add(poll: Poll): boolean {
    if (!this.#isOpen || this.#polls.length === POLLS_MAX) return false
    this.#polls.push(poll)
    return true
  }

  /** Looks until one has news, which goes on then, or the thread is wanted; whether one had. */
  run(): boolean {
    const { doorbell, main } = this.#sources
    if (main.unsubmittedCount > 0) return false
    const polls = this.#polls
    for (let count = 0; count < LOOK_COUNT; count++) {
      for (let index = 0; index < polls.length; index++) {
        const poll = polls[index]!
        if (!poll.hasNews) continue
        polls.splice(index, 1)
        poll.goOn()
        return true
      }
      if ((count & OTHERS_MASK) === 0 && (doorbell.hasRung || main.readyCount > 0)) return false
    }
    return false
  }

  /** The turn looks no more. */
  close(): void {
    this.#isOpen = false
    for (let poll = this.#polls.pop(); poll !== undefined; poll = this.#polls.pop()) poll.ask()
  }
}
