import { assert } from '../base/index.ts'
import {
  type Kernel,
  kernelError,
  LOAN_INBOXES,
  type LoanTable,
  type MemoryCalls,
} from '../kernel/index.ts'
import { Lease, type LeaseOwner, markLent } from '../memory/index.ts'
import type { DoorbellPort, Inbox } from './doorbell.ts'

/** What an executor lends to other threads, and has borrowed from them. Belongs to its thread. */
export interface LoansPort {
  /** What a lease was on, offered under that name, once; null, and the lease goes on, where there is nothing to show other threads. */
  offer(lease: Lease): number | null
  /** A lease on what is offered under that name; null if it is no more. */
  borrow(name: number): Lease | null
  /** Takes an offer back; false if it was taken, or is no more. */
  drop(name: number): boolean
}

/** {@link LoansPort}: O(1) for each part; what comes back does so in a turn. */
export class Loans implements LoansPort, Inbox {
  readonly #kernel: MemoryCalls
  readonly #host: LoanTable
  readonly #doorbell: DoorbellPort
  /** By their names. */
  readonly #lent = new Map<number, Lease>()
  readonly #borrowed = new Set<Borrowed>()
  /** Where returns are rung for; -1 until anything is lent. */
  #inbox = -1

  constructor(parts: {
    readonly kernel: Pick<Kernel, keyof MemoryCalls>
    readonly host: LoanTable
    readonly doorbell: DoorbellPort
  }) {
    this.#kernel = parts.kernel
    this.#host = parts.host
    this.#doorbell = parts.doorbell
  }

  offer(lease: Lease): number | null {
    if (lease.lengthBytes === 0) return null
    if (this.#inbox < 0) this.#inbox = this.#doorbell.addForMany(this)
    const { lengthBytes } = lease
    const place = lease.handOver()
    if (place === null) return null
    const { memory, offsetBytes } = place
    const name = this.#host.lendMemory(memory, offsetBytes, lengthBytes, this.#inbox)
    if (name < 0) {
      lease.comeBack()
      throw kernelError(name, { syscall: 'lend' })
    }
    assert(!this.#lent.has(name), 'a loan has a name of its own')
    this.#lent.set(name, lease)
    return name
  }

  borrow(name: number): Lease | null {
    const bytes = this.#kernel.borrowMemory(name)
    if (typeof bytes === 'number') return null
    const borrowed = new Borrowed(this, name, markLent(bytes))
    this.#borrowed.add(borrowed)
    return new Lease(borrowed, 0, 0, bytes.length)
  }

  drop(name: number): boolean {
    return this.#ring(this.#kernel.dropLoan(name))
  }

  /** Takes in what has come back. */
  collect(): void {
    for (let name = this.#host.takeReturned(); name >= 0; name = this.#host.takeReturned()) {
      const lease = this.#lent.get(name)
      assert(lease !== undefined, 'what comes back was lent')
      this.#lent.delete(name)
      lease.comeBack()
    }
  }

  /** Before the loop is left: whatever of others' is held here goes back. */
  leave(): void {
    for (const borrowed of [...this.#borrowed]) this.giveBack(borrowed)
    assert(this.#borrowed.size === 0, 'what was borrowed has gone back')
  }

  /** @internal */
  giveBack(borrowed: Borrowed): void {
    // It went back as the executor left its loop.
    if (!this.#borrowed.delete(borrowed)) return
    this.#ring(this.#kernel.returnMemory(borrowed.name, borrowed.bytes))
  }

  /** Tells whom the kernel names that something has come back; whether that could be. */
  #ring(told: number): boolean {
    if (told < 0) return false
    const id = Math.floor(told / LOAN_INBOXES)
    assert(id >= 0, 'what is told of a loan is its lender, or nobody')
    if (id > 0) this.#doorbell.ring(id, told % LOAN_INBOXES)
    return true
  }
}

/** A part of another executor's memory. The rings of this thread are not given it: its operations copy. */
class Borrowed implements LeaseOwner {
  readonly name: number
  readonly bytes: Uint8Array
  readonly #loans: Loans

  constructor(loans: Loans, name: number, bytes: Uint8Array) {
    this.#loans = loans
    this.name = name
    this.bytes = bytes
  }

  addressOf(): number {
    return 0
  }

  bufferIndexOf(): number {
    return -1
  }

  placeOf(): null {
    return null
  }

  viewOf(_token: number, startBytes: number, lengthBytes: number): Uint8Array {
    // Its holder may have transferred it, or its executor has left.
    if (this.bytes.length < startBytes + lengthBytes) return new Uint8Array(0)
    return this.bytes.subarray(startBytes, startBytes + lengthBytes)
  }

  free(): void {
    this.#loans.giveBack(this)
  }
}
