import { KIB } from '../../base/index.ts'

/** How much foreign memory is copied through I/O memory at a time. */
export const PIECE_BYTES: number = 256 * KIB

/**
 * Fills `target` with the bytes of `data` from `fromBytes` on.
 *
 * @throws {TypeError} if there are too few by now: it was transferred, or shrunk, meanwhile.
 */
export function copyPiece(data: Uint8Array, fromBytes: number, target: Uint8Array): void {
  const piece = data.subarray(fromBytes, fromBytes + target.length)
  if (piece.length !== target.length) {
    throw new TypeError(
      'Cannot go on writing as data must stay as it is until that is over: it was transferred or resized',
    )
  }
  target.set(piece)
}
