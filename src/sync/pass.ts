import { showAs } from '../base/index.ts'
/**
 * One unit of work under way behind a {@link Gate}: dispose it when the work ends.
 *
 * Nothing disposes of a pass that is forgotten: the gate then never finishes closing.
 */
export class Pass implements Disposable {
  static {
    showAs(Pass, (pass) => (pass.#leave === null ? 'Pass left' : 'Pass inside'))
  }

  #leave: (() => void) | null

  /** @internal Use {@link Gate.enter}. */
  constructor(leave: () => void) {
    this.#leave = leave
  }

  /** Ends the work; again is nothing. */
  leave(): void {
    const leave = this.#leave
    this.#leave = null
    leave?.()
  }

  [Symbol.dispose](): void {
    this.leave()
  }
}
