import { AF_UNIX } from '../kernel/index.ts'
import type { SimAddress } from './address.ts'
import type { Inode } from './inode.ts'
import type { SimSocket } from './socket.ts'

const NOBODY: ReadonlySet<SimSocket> = new Set()

/**
 * Which sockets are bound where: by family and type, and the port or the name.
 *
 * To add, to remove and to find are O(1) however many are bound elsewhere; sockets of one place, which
 * share a port, come in the order in which they were bound.
 */
export class BoundSockets {
  readonly #places = new Map<string, Set<SimSocket>>()
  readonly #files = new Map<Inode, SimSocket>()

  /** Those of `type` at `address`, whatever the address is that they bound the port of. */
  at(address: SimAddress, type: number): ReadonlySet<SimSocket> {
    return this.#places.get(placeOf(address, type)) ?? NOBODY
  }

  /** The socket that a file is the name of, however that is called by now, or null. */
  of(inode: Inode): SimSocket | null {
    return this.#files.get(inode) ?? null
  }

  /** Adds a socket that has its `local` address. */
  add(socket: SimSocket): void {
    if (socket.inode !== null) this.#files.set(socket.inode, socket)
    const place = placeOf(socket.local!, socket.type)
    const sockets = this.#places.get(place)
    if (sockets === undefined) this.#places.set(place, new Set([socket]))
    else sockets.add(socket)
  }

  /** Nothing for a socket that is not bound. */
  remove(socket: SimSocket): void {
    if (socket.local === null) return
    if (socket.inode !== null) this.#files.delete(socket.inode)
    const place = placeOf(socket.local, socket.type)
    const sockets = this.#places.get(place)
    sockets?.delete(socket)
    if (sockets?.size === 0) this.#places.delete(place)
  }
}

function placeOf({ family, port, host }: SimAddress, type: number): string {
  return `${family} ${type} ${family === AF_UNIX ? host : port}`
}
