import { assert } from '../../base/index.ts'

/** How much has been done, for tests that count it rather than take the time. @internal */
export const effort: { steps: number } = { steps: 0 }

/**
 * Something that is in the way until it is clear, once and for good: a claim, or several of them.
 *
 * One that somebody waits for watches a single part of it that is still in the way, and the next one once
 * that is clear: it has few parts, so all that ever happens to it is O(1). One that nobody waits for watches nothing.
 */
export abstract class Obstacle {
  isClear = false
  /** What it waits for, if it does. */
  watched: Obstacle | null = null
  #first: Obstacle | null = null
  #last: Obstacle | null = null
  #before: Obstacle | null = null
  #behind: Obstacle | null = null

  /** A part that is in the way, null if none is, or itself if only an event can clear it. */
  abstract blocker(): Obstacle | null

  /** What of it is in the way in a stretch, as far as that is easily told. */
  within(_startBytes: number, _endBytes: number): Obstacle | null {
    return this.isClear ? null : this
  }

  /** What watches it, none of which does from then on. */
  takeWatchers(): Obstacle[] {
    const watchers: Obstacle[] = []
    for (let watcher = this.#first; watcher !== null; watcher = this.#first) {
      watcher.unwatch()
      watchers.push(watcher)
    }
    return watchers
  }

  watch(target: Obstacle): void {
    assert(this.watched === null && !target.isClear, 'one thing is watched at a time')
    this.watched = target
    this.#before = target.#last
    if (target.#last === null) target.#first = this
    else target.#last.#behind = this
    target.#last = this
  }

  /** Ends its wait; what has nobody left that waits for it then ends its own. */
  letGo(): void {
    let obstacle: Obstacle = this
    for (let target = obstacle.watched; target !== null; target = obstacle.watched) {
      effort.steps++
      obstacle.unwatch()
      // A claim waits for its own sake.
      if (target.#first !== null || target.blocker() === target) return
      obstacle = target
    }
  }

  unwatch(): void {
    const target = this.watched
    assert(target !== null, 'what is not watched any more was watched')
    if (this.#before === null) target.#first = this.#behind
    else this.#before.#behind = this.#behind
    if (this.#behind === null) target.#last = this.#before
    else this.#behind.#before = this.#before
    this.watched = null
    this.#before = null
    this.#behind = null
  }
}

/**
 * Finds out whether an obstacle is clear; if not, it watches what is in the way, and so on down to
 * the claim that it is. Amortized O(1) for each obstacle below it: what is clear is remembered.
 */
export function settle(obstacle: Obstacle): boolean {
  const path = [obstacle]
  for (;;) {
    effort.steps++
    const top = path[path.length - 1]!
    const next = top.isClear ? null : top.blocker()
    if (next === null) {
      top.isClear = true
      path.pop()
      if (path.length === 0) return true
    } else if (next === top || top.watched !== null) {
      // What watches something has others that wait for it, and is in the way as far as they know.
      for (let depth = path.length - 2; depth >= 0; depth--) path[depth]!.watch(path[depth + 1]!)
      return false
    } else {
      path.push(next)
    }
  }
}

/** Two obstacles in one, either of which may be none. */
export function join(older: Obstacle | null, newer: Obstacle | null): Obstacle | null {
  if (older === null || older.isClear) return newer
  if (newer === null || newer.isClear) return older
  return new Both(older, newer)
}

class Both extends Obstacle {
  #older: Obstacle
  readonly #newer: Obstacle

  constructor(older: Obstacle, newer: Obstacle) {
    super()
    this.#older = older
    this.#newer = newer
  }

  // The newer first, as it is likely to be there for longer, and not at the end of a long chain.
  override blocker(): Obstacle | null {
    if (!this.#newer.isClear) return this.#newer
    const older = this.#older
    // What is clear is left out, lest the next one walks over all of it again.
    if (older instanceof Both && older.#newer.isClear) this.#older = older.#older
    return this.#older.isClear ? null : this.#older
  }
}
