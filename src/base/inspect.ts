const INSPECT = Symbol.for('nodejs.util.inspect.custom')
/** What objects of these classes know the name of their class by: the same in all copies of the package. */
const CLASS_NAME = Symbol.for('percore.class')

/** A class, abstract ones included. */
interface Inspected<T> {
  readonly name: string
  readonly prototype: T
}

/**
 * Shows the objects of a class by a line of their own in `util.inspect()` and `console.log()`, rather
 * than by their internals. Called in a static block of the class, which may look at what is private.
 *
 * What `describe` throws is not for a program that only looks: then it is the name of the class.
 */
export function showAs<T extends object>(
  type: Inspected<T>,
  describe: (object: T) => string,
): void {
  Object.defineProperty(type.prototype, CLASS_NAME, { value: type.name })
  Object.defineProperty(type.prototype, INSPECT, {
    configurable: true,
    writable: true,
    value(this: T): string {
      try {
        return describe(this)
      } catch {
        return type.name
      }
    },
  })
}

/** Which of these classes an object is of, be it that of another copy of the package; null if of none. */
export function classNameOf(object: object): string | null {
  const name = (object as { readonly [CLASS_NAME]?: unknown })[CLASS_NAME]
  return typeof name === 'string' ? name : null
}

/** `1 task`, `2 tasks`. */
export function count(value: number, noun: string): string {
  return `${value} ${noun}${value === 1 ? '' : 's'}`
}
