import { encodeRead, type MemoryRef, type Ring, type TransferArgs } from '../../ring/index.ts'
import { BlockTransfer } from './block-transfer.ts'

/** Reads one block of a stream. */
export class BlockRead extends BlockTransfer implements TransferArgs {
  readonly memory: MemoryRef = this

  get isWrite(): boolean {
    return false
  }

  protected get syscall(): string {
    return 'read'
  }

  protected override encode(ring: Ring, base: number): void {
    encodeRead(ring.sqes, base, this)
  }
}
