/** Something under way that can be asked to stop. Asking again, or too late, is nothing. */
export interface Cancellable {
  /** Whether it waits for a closing, which goes on while the executor closes. */
  readonly isShielded?: boolean
  cancel(reason: unknown): void
}
