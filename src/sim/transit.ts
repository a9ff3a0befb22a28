import { assert } from '../base/index.ts'
import { ENOENT } from '../kernel/index.ts'
import type { DescriptorTable } from './descriptors.ts'

/** A loop of the process, as its descriptors know it. */
export interface TransitLoop {
  trackFd(fd: number, tracked: boolean): void
}

interface Passed {
  readonly fd: number
  /** With whose end it is closed; null for that of the process. */
  readonly loop: TransitLoop | null
}

interface Member {
  readonly fd: number
  readonly loop: TransitLoop
}

/**
 * What native/transit.c does: descriptors on their way from one thread of the process to another, and
 * descriptors of one socket that several threads have.
 */
export class Transit {
  readonly #descriptors: DescriptorTable
  readonly #passed = new Map<number, Passed>()
  readonly #shared = new Map<number, Member[]>()
  #lastName = 0

  constructor(descriptors: DescriptorTable) {
    this.#descriptors = descriptors
  }

  pass(fd: number, owner: TransitLoop, outlives: boolean): number {
    assert(this.#descriptors.get(fd) !== null, 'what is passed on is open')
    owner.trackFd(fd, false)
    this.#passed.set(++this.#lastName, { fd, loop: outlives ? null : owner })
    return this.#lastName
  }

  take(name: number, loop: TransitLoop): number {
    const passed = this.#passed.get(name)
    if (passed === undefined) return -ENOENT
    this.#passed.delete(name)
    loop.trackFd(passed.fd, true)
    return passed.fd
  }

  drop(name: number): number {
    const passed = this.#passed.get(name)
    if (passed === undefined) return -ENOENT
    this.#passed.delete(name)
    return this.#descriptors.close(passed.fd)
  }

  share(fd: number, loop: TransitLoop): number {
    this.#shared.set(++this.#lastName, [{ fd, loop }])
    return this.#lastName
  }

  join(name: number, loop: TransitLoop): number {
    const members = this.#shared.get(name)
    if (members === undefined) return -ENOENT
    const description = this.#descriptors.get(members[0]!.fd)
    assert(description !== null, 'the descriptor of a member is open')
    const fd = this.#descriptors.install(description)
    if (fd < 0) return fd
    members.push({ fd, loop })
    loop.trackFd(fd, true)
    return fd
  }

  leave(name: number, fd: number, loop: TransitLoop): boolean {
    this.#removeMembers(name, (member) => member.loop === loop && member.fd === fd)
    return this.#shared.has(name)
  }

  /** A loop ends, and is about to close its descriptors: what it passed on and nobody took is among them. */
  end(loop: TransitLoop): void {
    for (const [name, passed] of this.#passed) {
      if (passed.loop !== loop) continue
      this.#passed.delete(name)
      loop.trackFd(passed.fd, true)
    }
    for (const name of [...this.#shared.keys()]) {
      this.#removeMembers(name, (member) => member.loop === loop)
    }
  }

  #removeMembers(name: number, isRemoved: (member: Member) => boolean): void {
    const members = this.#shared.get(name)
    if (members === undefined) return
    const left = members.filter((member) => !isRemoved(member))
    if (left.length === 0) this.#shared.delete(name)
    else this.#shared.set(name, left)
  }
}
