/** Something under way that can be asked to stop. Asking again, or too late, is nothing. */
export interface Cancellable {
  cancel(reason: unknown): void
}
