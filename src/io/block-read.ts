import { encodeRead, type MemoryRef, type Ring, type TransferArgs } from '../ring/index.ts'
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

  // A direct read ends between multiples of the alignment only where the file does.
  protected override isOver(movedBytes: number, alignmentBytes: number): boolean {
    return movedBytes === 0 || movedBytes % alignmentBytes !== 0
  }

  protected override count(movedBytes: number): void {
    const { descriptor } = this
    descriptor.readCount++
    descriptor.readBytes += movedBytes
    descriptor.executor.io.control.counters[33]! += movedBytes // COUNTER_BYTES_READ
  }

  override get submitsEarly(): boolean {
    return true
  }
}

/** Reads what comes first, where there are no positions and waiting for more may be for ever. */
export class PieceRead extends BlockRead {
  protected override isOver(): boolean {
    return true
  }

  // What a pipe is asked for would be taken even if the reader is cancelled in this turn.
  override get submitsEarly(): boolean {
    return false
  }
}
