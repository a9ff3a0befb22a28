/**
 * Which services wait for which: one waits for another whose start the making of its instance has asked for. Those that would wait for each
 * other for ever are found as the last of them asks. O(waits) per question, of which there are as many as services that are being started.
 */
export class ServiceWaits {
  /** How many instances of a service wait for which others. */
  readonly #counts = new Map<number, Map<number, number>>()

  /** Whether `from` waits for `to`, at once or by way of others; also where both are one. */
  leads(from: number, to: number): boolean {
    const seen = new Set<number>()
    const open = [from]
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (next === to) return true
      if (seen.has(next)) continue
      seen.add(next)
      open.push(...(this.#counts.get(next)?.keys() ?? []))
    }
    return false
  }

  add(from: number, to: number): void {
    let waits = this.#counts.get(from)
    if (waits === undefined) {
      waits = new Map()
      this.#counts.set(from, waits)
    }
    waits.set(to, (waits.get(to) ?? 0) + 1)
  }

  remove(from: number, to: number): void {
    const waits = this.#counts.get(from)
    const count = waits?.get(to) ?? 0
    if (count > 1) waits!.set(to, count - 1)
    else if (waits?.delete(to) && waits.size === 0) this.#counts.delete(from)
  }
}
