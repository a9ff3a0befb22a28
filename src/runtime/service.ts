import {
  optionNames,
  showAs,
  validateFunction,
  validateInteger,
  validateOptions,
  validateString,
  wrongType,
} from '../base/index.ts'
import { ServiceHub } from './service-hub.ts'
import { provideServices } from './service-loading.ts'
import type { ServicePort } from './service-port.ts'
import { registerService } from './service-registry.ts'
import { Shard } from './shard.ts'
import { ShardedService } from './sharded-service.ts'

/** How a service is called. */
export interface ServiceOptions {
  /**
   * How many calls of it one shard has under way at one other, 1 … 65,535; 256 if not given. Those above it wait in line.
   * Each service has its own, so that calls of one do not wait for those of another.
   */
  readonly outstandingMax?: number
}

const NAMES = optionNames<ServiceOptions>({ outstandingMax: true })
const OUTSTANDING_DEFAULT = 256

/** Makes the instance of a shard: an object, of a class or not, whose methods can be called from all shards. */
export type ServiceMain<Instance extends object, Argument> = (
  shard: Shard,
  argument: Argument,
) => Instance | PromiseLike<Instance>

/**
 * Defines a service: an instance on each shard of a pool, whose methods all shards can call.
 *
 * To be called as a module is loaded, in one that every shard loads, since functions do not cross between threads: calls go by
 * the names of the service and its methods.
 *
 * @throws {TypeError | RangeError} for what is of the wrong kind.
 * @throws {RuntimeError} `ERR_NAME_TAKEN` if a service of that name is defined already.
 *
 * Source: seastar::sharded, seastar::smp::submit_to.
 *
 * @example
 * ```ts
 * import { defineService, type Shard } from 'percore/runtime'
 *
 * class Counters {
 *   readonly #counts = new Map<string, number>()
 *
 *   add(name: string, by: number): number {
 *     const count = (this.#counts.get(name) ?? 0) + by
 *     this.#counts.set(name, count)
 *     return count
 *   }
 * }
 *
 * export const counters = defineService('counters', () => new Counters())
 *
 * export default async function main(shard: Shard): Promise<number> {
 *   await using service = await counters.start(shard)
 *   const next = (shard.id + 1) % shard.count
 *   return await service.on(next).add('visits', 1)
 * }
 * ```
 */
export function defineService<Instance extends object, Argument = undefined>(
  name: string,
  create: ServiceMain<Instance, Argument>,
  options: ServiceOptions = {},
): Service<Instance, Argument> {
  const action = 'define a service'
  validateString(action, 'name', name)
  validateFunction(action, 'create', create)
  validateOptions(action, options, NAMES)
  const { outstandingMax = OUTSTANDING_DEFAULT } = options
  validateInteger(action, 'outstandingMax', outstandingMax, { min: 1, max: 65_535 })
  // What arrives is what whoever starts the service has given, a copy of an Argument.
  const createFor = (shard: Shard, argument: unknown) => create(shard, argument as Argument)
  registerService({ name, create: createFor, outstandingMax })
  provideServices((parts) => new ServiceHub(parts))
  return new Service<Instance, Argument>(name)
}

/** A service that was defined, to be started on a pool's shards. Made by {@link defineService}. */
export class Service<Instance extends object, Argument = undefined> {
  static {
    showAs(Service, ({ name }) => `Service(${name})`)
  }

  readonly name: string
  /** Never there: by it the compiler knows what it is started with. */
  declare readonly argument?: Argument

  /** @internal Use {@link defineService}. */
  constructor(name: string) {
    this.name = name
  }

  /**
   * Starts the service on all shards of the pool, or joins those who have; resolves once it runs on all.
   *
   * One shard may call it or each: the service runs until all who have started it have stopped it. A program that has returned, and
   * left nothing in its event loop, stops what it has started. Instances are made in the order of the shards, each once the one before is there, with a copy of the first caller's `argument`; all
   * who start it must give equal ones. Where one fails the others are stopped. On a shard that is restarted the
   * instance is made anew, before its program begins.
   *
   * Rejects with a {@link RuntimeError} `ERR_SERVICE_START_FAILED` that names the shard, and has what was thrown there as its
   * `cause`; or whose argument differs; with a `TypeError` for what is no shard, and an argument that cannot be cloned.
   */
  async start(
    shard: Shard,
    ...[argument]: undefined extends Argument ? [argument?: Argument] : [argument: Argument]
  ): Promise<ShardedService<Instance>> {
    const port = portOf(`start service '${this.name}'`, shard)
    return new ShardedService<Instance>(await port.join(this.name, argument))
  }

  /**
   * The service that runs on this shard, for its own methods, whose calls to other shards go through it; null where it does not run.
   *
   * It does not keep the service: who starts it does.
   */
  of(shard: Shard): ShardedService<Instance> | null {
    const joined = portOf(`find service '${this.name}'`, shard).find(this.name)
    return joined === null ? null : new ShardedService<Instance>(joined)
  }
}

function portOf(action: string, shard: Shard): ServicePort {
  // A pool, a handle or a driver, say: the thread that has these is no shard.
  if (!(shard instanceof Shard)) {
    throw wrongType(action, 'shard', 'the Shard that a program of a pool is called with', shard)
  }
  const services = shard.useServices()
  if (services !== null) return services
  throw new TypeError(`Cannot ${action} as the shard must run: it does not`)
}
