import { encodeWrite, type MemoryRef, type Ring, type TransferArgs } from '../../ring/index.ts'
import type { RangeHold } from '../ranges/range-lock.ts'
import { BlockTransfer } from './block-transfer.ts'

/** Writes one block of a stream; a short write goes on by itself. */
export class BlockWrite extends BlockTransfer implements TransferArgs {
  readonly memory: MemoryRef = this
  /** Its place in the file, while it is written. */
  hold: RangeHold | null = null
  /** Whether it has ended, and those before it have not. */
  isDone = false

  get isWrite(): boolean {
    return true
  }

  protected get syscall(): string {
    return 'write'
  }

  protected override encode(ring: Ring, base: number): void {
    encodeWrite(ring.sqes, base, this)
  }
}
