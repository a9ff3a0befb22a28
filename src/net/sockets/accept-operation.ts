import { NO_QUEUE } from '../../base/index.ts'
import { Operation } from '../../ring/index.ts'

type OnAccepted = (result: number, flags: number) => void

/** What goes on accepting for a listener. */
export class AcceptOperation extends Operation {
  readonly #onAccepted: OnAccepted

  constructor(onAccepted: OnAccepted) {
    super(NO_QUEUE)
    this.#onAccepted = onAccepted
  }

  override complete(result: number, flags: number): void {
    this.#onAccepted(result, flags)
  }

  override run(): void {}
}
