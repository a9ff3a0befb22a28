import { SharedGuard } from './shared-guard.ts'

/** Sole access to the value of a {@link Mutex} or {@link RwLock}, until released. */
export class ExclusiveGuard<T> extends SharedGuard<T> {
  /**
   * Puts another value in, and returns the one that was there.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED` once released.
   */
  replace(value: T): T {
    this.assertHeld()
    const replaced = this.cell.value
    this.cell.value = value
    return replaced
  }
}
