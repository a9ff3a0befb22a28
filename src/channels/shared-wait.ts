import { HoldingWaiter, type WaitHome, type WaitOptions } from '../executor/index.ts'
import { COUNTER_CHANNEL_WAITS } from '../stats/index.ts'

/** Somebody who waits for the other end of a channel: each such wait is counted. */
export abstract class SharedWaiter<R> extends HoldingWaiter<R> {
  override bindListed(home: WaitHome, options: WaitOptions | undefined, action: string): void {
    super.bindListed(home, options, action)
    this.executor.io.control.counters[COUNTER_CHANNEL_WAITS]!++
  }
}
