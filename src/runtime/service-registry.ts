import { RuntimeError } from '../base/index.ts'
import type { Shard } from './shard.ts'

/** A service, before it runs anywhere. */
export interface ServiceDefinition {
  readonly name: string
  /** Makes a shard's instance. */
  readonly create: (shard: Shard, argument: unknown) => unknown
  readonly outstandingMax: number
}

/** Those that the modules of this thread have defined. */
const definitions = new Map<string, ServiceDefinition>()

/** @throws {RuntimeError} `ERR_NAME_TAKEN` if there is one of that name. */
export function registerService(definition: ServiceDefinition): void {
  const { name } = definition
  if (definitions.has(name)) {
    throw new RuntimeError(
      'ERR_NAME_TAKEN',
      `Cannot define a service as its name must be its own: '${name}' is defined already, or its module was loaded twice`,
    )
  }
  definitions.set(name, definition)
}

export function findDefinition(name: string): ServiceDefinition | undefined {
  return definitions.get(name)
}

/**
 * The names of the methods of an instance, its own and those of its classes, in an order that is the same everywhere.
 * Accessors are not called.
 */
export function listMethods(instance: object): string[] {
  const names = new Set<string>()
  for (
    let level: object | null = instance;
    level !== null && level !== Object.prototype;
    level = Object.getPrototypeOf(level) as object | null
  ) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(level))) {
      if (typeof value === 'function' && name !== 'constructor') names.add(name)
    }
  }
  return [...names].sort()
}
