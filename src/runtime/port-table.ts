import { RuntimeError } from '../base/index.ts'
import { formatAddress } from '../net/index.ts'
import { PortGroup } from './port-group.ts'
import type { CheckedPortOptions } from './port-options.ts'
import type { ThreadStarter } from './shard-thread.ts'

/** The ports that a runtime serves, by what they listen on: address and number. There are few: looked through at each {@link find}. */
export class PortTable {
  readonly #starter: ThreadStarter
  readonly #groups = new Set<PortGroup>()
  #count = 0

  constructor(starter: ThreadStarter) {
    this.#starter = starter
  }

  /** The port that those options name, if drivers serve it, or a new one, which is opened once all who had that number have closed it. */
  find(options: CheckedPortOptions): PortGroup {
    const served = [...this.#groups].filter((group) => group.isNamedBy(options))
    const found = served.find((group) => !group.isEmpty)
    if (found !== undefined) return found
    const left = [...this.#groups].filter((group) => group.isEmpty && group.mayClash(options))
    const group = new PortGroup(++this.#count, options, {
      whenFree: Promise.all(left.map(({ whenShut }) => whenShut)),
      setTimer: (delayMs, callback) => this.#starter.setTimer(delayMs, callback),
      assertOwnAddress: (opened) => this.#assertOwnAddress(opened),
    })
    this.#groups.add(group)
    return group
  }

  /** Forgets a port that nobody serves, once it has no socket. */
  release(group: PortGroup): void {
    void group.whenShut.then(() => {
      if (group.isEmpty) this.#groups.delete(group)
    })
  }

  /** One address that is given by two names is one port, if its sockets can be several. */
  #assertOwnAddress(group: PortGroup): void {
    const { address } = group
    for (const other of this.#groups) {
      if (other === group || other.isEmpty || other.address === null || address === null) continue
      if (other.options.transport !== group.options.transport) continue
      if (formatAddress(other.address) !== formatAddress(address)) continue
      throw new RuntimeError(
        'ERR_LISTENERS_DIFFER',
        `Cannot serve a port as all its drivers must be alike: ${formatAddress(address)} is served already, by another name of the host`,
      )
    }
  }
}
