import { effort, join, Obstacle } from './obstacle.ts'

/**
 * A tree of segments of a file, ordered by where they begin, with what is in the way in each of them.
 *
 * Persistent: an update leaves the tree as it was, and makes a new one that shares most nodes with it. So a
 * claim keeps what was there when it came, in O(log n) and exactly, whatever comes later. A node is an
 * obstacle: clear once its segment and those below it are.
 *
 * A treap whose priorities are a hash of the position: balanced as if random, and the same in each run.
 *
 * Source: R. Seidel and C. Aragon, "Randomized Search Trees"; J. Driscoll et al., "Making Data
 * Structures Persistent".
 */
export class Segment extends Obstacle {
  readonly startBytes: number
  readonly endBytes: number
  readonly left: Segment | null
  readonly right: Segment | null
  readonly #priority: number
  /** What is in the way in this segment. */
  #own: Obstacle | null
  /** What is in the way in the segments below as well, where they do not say so yet. */
  readonly #pending: Obstacle | null

  constructor(
    startBytes: number,
    endBytes: number,
    { own, pending = null, left = null, right = null }: SegmentParts,
  ) {
    super()
    effort.steps++
    this.startBytes = startBytes
    this.endBytes = endBytes
    this.left = left
    this.right = right
    this.#priority = hash(startBytes)
    this.#own = own
    this.#pending = pending
  }

  override blocker(): Obstacle | null {
    const own = this.#ownBlocker()
    if (own !== null) return own
    if (this.left !== null && !this.left.isClear) return this.left
    return this.right !== null && !this.right.isClear ? this.right : null
  }

  /** Whether something may be in the way between two positions; false only if nothing is. */
  mayBlock(startBytes: number, endBytes: number): boolean {
    effort.steps++
    if (this.isClear) return false
    const { left, right } = this
    const isTouched = startBytes < this.endBytes && this.startBytes < endBytes
    if (isTouched && this.#ownBlocker() !== null) return true
    if (startBytes < this.startBytes && left?.mayBlock(startBytes, endBytes)) return true
    if (endBytes > this.endBytes && right?.mayBlock(startBytes, endBytes)) return true
    // Remembered, lest a long stretch of what is over is walked again and again.
    if (left?.isClear !== false && right?.isClear !== false && this.#ownBlocker() === null) {
      this.isClear = true
    }
    return false
  }

  /** The same with more in the way in all its segments. */
  add(obstacle: Obstacle): Segment {
    const { startBytes, endBytes, left, right } = this
    const own = join(this.#own, obstacle)
    const pending = join(this.#pending, obstacle)
    return new Segment(startBytes, endBytes, { own, pending, left, right })
  }

  /** What {@link clip} gives if one segment is all that is there, or none is; else undefined. */
  static find(
    tree: Segment | null,
    startBytes: number,
    endBytes: number,
  ): Segment | null | undefined {
    let node = tree
    while (node !== null) {
      effort.steps++
      if (node.startBytes <= startBytes && endBytes <= node.endBytes) {
        const own = node.#own
        return own === null || own.isClear ? null : node.#cut(startBytes, endBytes)
      }
      const isBefore = endBytes <= node.startBytes
      // The segments below have not heard of all that is in the way there, or more than one is touched.
      if (node.#pending !== null || !(isBefore || node.endBytes <= startBytes)) return undefined
      node = isBefore ? node.left : node.right
    }
    return null
  }

  /** Cuts a tree in two at a position. */
  static split(tree: Segment | null, atBytes: number): [Segment | null, Segment | null] {
    effort.steps++
    if (tree === null || atBytes === Infinity) return [tree, null]
    if (atBytes === 0) return [null, tree]
    const { startBytes, endBytes } = tree
    const { left, right } = tree.#push()
    if (atBytes <= startBytes) {
      const [before, behind] = Segment.split(left, atBytes)
      return [before, tree.#with(behind, right)]
    }
    if (atBytes >= endBytes) {
      const [before, behind] = Segment.split(right, atBytes)
      return [tree.#with(left, before), behind]
    }
    return [
      Segment.merge(left, tree.#cut(startBytes, atBytes)),
      Segment.merge(tree.#cut(atBytes, endBytes), right),
    ]
  }

  /** Joins two trees, the first of which ends where the other begins, or before. */
  static merge(before: Segment | null, behind: Segment | null): Segment | null {
    if (before === null) return behind
    if (behind === null) return before
    if (before.#priority > behind.#priority) {
      const { left, right } = before.#push()
      return before.#with(left, Segment.merge(right, behind))
    }
    const { left, right } = behind.#push()
    return behind.#with(Segment.merge(before, left), right)
  }

  /** A part of this segment alone. */
  #cut(startBytes: number, endBytes: number): Segment {
    // A tree stands for a claim that gave up: of that tree, too, only this part is in the way.
    const own = this.#own instanceof Segment ? clip(this.#own, startBytes, endBytes) : this.#own
    return new Segment(startBytes, endBytes, { own })
  }

  #ownBlocker(): Obstacle | null {
    const { startBytes, endBytes } = this
    let own = this.#own?.within(startBytes, endBytes) ?? null
    // Claims that gave up one behind the other are left out, lest each look walks through all of them.
    while (own instanceof Segment && own.#isAll(startBytes, endBytes)) {
      own = own.#cut(startBytes, endBytes).#own?.within(startBytes, endBytes) ?? null
    }
    this.#own = own
    return own
  }

  /** Whether nothing but its own is in the way between two positions. */
  #isAll(startBytes: number, endBytes: number): boolean {
    if (this.startBytes > startBytes || endBytes > this.endBytes) return false
    return this.left?.isClear !== false && this.right?.isClear !== false
  }

  /** What is below, with what is pending there. */
  #push(): { readonly left: Segment | null; readonly right: Segment | null } {
    const pending = this.#pending
    if (pending === null || pending.isClear) return this
    return { left: this.left?.add(pending) ?? null, right: this.right?.add(pending) ?? null }
  }

  /** The same segment above others; they have heard of what was pending. */
  #with(left: Segment | null, right: Segment | null): Segment {
    if (left === this.left && right === this.right) return this
    return new Segment(this.startBytes, this.endBytes, { own: this.#own, left, right })
  }
}

interface SegmentParts {
  readonly own: Obstacle | null
  readonly pending?: Obstacle | null
  readonly left?: Segment | null
  readonly right?: Segment | null
}

/** The part of a tree between two positions. O(log n), and mostly one segment, which is found without a copy. */
export function clip(tree: Segment | null, startBytes: number, endBytes: number): Segment | null {
  const found = Segment.find(tree, startBytes, endBytes)
  if (found !== undefined) return found
  const [, behind] = Segment.split(tree, startBytes)
  return Segment.split(behind, endBytes)[0]
}

/** The tree with one segment between two positions in place of what was there. O(log n). */
export function replace(tree: Segment | null, segment: Segment): Segment | null {
  const { startBytes, endBytes } = segment
  const [before, rest] = Segment.split(tree, startBytes)
  const [, behind] = Segment.split(rest, endBytes)
  return Segment.merge(Segment.merge(before, segment), behind)
}

/** The tree with more in the way between two positions; it has segments all over. O(log n). */
export function add(
  tree: Segment,
  startBytes: number,
  endBytes: number,
  obstacle: Obstacle,
): Segment {
  const [before, rest] = Segment.split(tree, startBytes)
  const [middle, behind] = Segment.split(rest, endBytes)
  return Segment.merge(Segment.merge(before, middle!.add(obstacle)), behind)!
}

/** Spreads positions evenly over 32 bits. */
function hash(positionBytes: number): number {
  if (positionBytes === Infinity) return 0
  let mixed = Math.imul(positionBytes % 2 ** 32, 0x9e3779b1) ^ (positionBytes / 2 ** 32)
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
