/** Waits for what puts things right after a failure: that is the error to report, whatever else fails then. */
export async function settled(putRight: () => Promise<void> | undefined): Promise<void> {
  try {
    await putRight()
  } catch {
    // The side that failed first may fail again.
  }
}
