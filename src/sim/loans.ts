import { ENOENT, type KernelMemory, LOAN_INBOXES } from '../kernel/index.ts'

/** A loop of the process, as what it lends knows it. */
export interface LendingLoop {
  readonly id: number
}

/** What is lent, and who is to be told of its return. */
export interface Part {
  readonly memory: KernelMemory
  readonly offset: number
  readonly lengthBytes: number
  readonly inbox: number
}

interface Loan extends Part {
  /** Null once it has ended. */
  owner: LendingLoop | null
  state: 'offered' | 'borrowed' | 'returned'
}

/** What native/loans.c does: memory that one thread of the process lends to another. */
export class SimLoans {
  readonly #loans = new Map<number, Loan>()
  readonly #returned = new Map<LendingLoop, number[]>()
  #lastName = 0

  lend(owner: LendingLoop, part: Part): number {
    this.#loans.set(++this.#lastName, { ...part, owner, state: 'offered' })
    return this.#lastName
  }

  borrow(name: number): Uint8Array | number {
    const loan = this.#loans.get(name)
    if (loan?.state !== 'offered') return -ENOENT
    loan.state = 'borrowed'
    return loan.memory.bytes.subarray(loan.offset, loan.offset + loan.lengthBytes)
  }

  giveBack(name: number): number {
    const loan = this.#loans.get(name)
    return loan?.state === 'borrowed' ? this.#giveBack(name, loan) : 0
  }

  drop(name: number): number {
    const loan = this.#loans.get(name)
    return loan?.state === 'offered' ? this.#giveBack(name, loan) : -ENOENT
  }

  takeReturned(owner: LendingLoop): number {
    const name = this.#returned.get(owner)?.pop()
    if (name === undefined) return -ENOENT
    this.#loans.delete(name)
    return name
  }

  /** A loop ends: nobody can take what it offers any more, and what others have is theirs until they let go of it. */
  end(owner: LendingLoop): void {
    this.#returned.delete(owner)
    for (const [name, loan] of this.#loans) {
      if (loan.owner !== owner) continue
      loan.owner = null
      if (loan.state !== 'borrowed') this.#loans.delete(name)
    }
  }

  #giveBack(name: number, loan: Loan): number {
    const { owner, inbox } = loan
    if (owner === null) {
      this.#loans.delete(name)
      return 0
    }
    loan.state = 'returned'
    const names = this.#returned.get(owner)
    if (names === undefined) this.#returned.set(owner, [name])
    else names.push(name)
    return owner.id * LOAN_INBOXES + inbox
  }
}
