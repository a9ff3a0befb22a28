import type { Executor } from '../src/executor/index.ts'
import type { Reactor } from '../src/reactor/index.ts'

/** The reactor behind the ports that an executor hands out, for tests of what no port shows. */
export function reactorOf({ io }: Executor): Reactor {
  return io as Reactor
}
