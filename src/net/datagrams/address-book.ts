import { AF_INET } from '../../kernel/index.ts'
import type { Address } from '../values/address.ts'
import { decodeAddress, encodeAddress } from '../values/sockaddr.ts'

/** An address as the kernel has it, in whole words. */
export interface RawAddress {
  readonly words: Uint32Array
  readonly lengthBytes: number
}

/** So many senders are remembered. */
const SENDERS_MAX = 4096
const NO_KEY = -1
/** The decoder may look beyond the end of a short one. */
const PADDED_BYTES = 128
const NO_BYTES = new Uint8Array(0)
const NAMELESS = new Uint8Array(2).fill(1, 0, 1)

/**
 * Addresses as values and as the kernel has them, of those who were heard of lately: an answer to one costs no text. O(1).
 */
export class AddressBook {
  /** By the 48 bits of host and port. */
  readonly #ipv4 = new Map<number, Address>()
  /** By the raw address as text. */
  readonly #others = new Map<string, Address>()
  readonly #raws = new WeakMap<Address, RawAddress>()
  #lastKey = NO_KEY
  #last: Address | null = null
  #lastOtherBytes: Uint8Array = NO_BYTES
  #lastOther: Address | null = null

  /** The address that lies in `bytes`: a frozen value, the same one for the same address. */
  read(bytes: Uint8Array, startBytes: number, lengthBytes: number): Address {
    if (lengthBytes < 16 || bytes[startBytes]! + bytes[startBytes + 1]! * 256 !== AF_INET) {
      return this.#readOther(bytes, startBytes, lengthBytes)
    }
    // One after the other: most datagrams come from who has sent the one before.
    const port = bytes[startBytes + 2]! * 256 + bytes[startBytes + 3]!
    const high = bytes[startBytes + 4]! * 256 + bytes[startBytes + 5]!
    const low = bytes[startBytes + 6]! * 256 + bytes[startBytes + 7]!
    const key = (port * 65_536 + high) * 65_536 + low
    if (key === this.#lastKey) return this.#last!
    let address = this.#ipv4.get(key)
    if (address === undefined) {
      address = this.#remember(bytes.subarray(startBytes, startBytes + lengthBytes))
      if (this.#ipv4.size === SENDERS_MAX) this.#ipv4.clear()
      this.#ipv4.set(key, address)
    }
    this.#lastKey = key
    this.#last = address
    return address
  }

  /** What the kernel calls it; null for an address that was not read from here. */
  find(address: Address): RawAddress | null {
    return this.#raws.get(address) ?? null
  }

  #readOther(bytes: Uint8Array, startBytes: number, lengthBytes: number): Address {
    if (this.#lastOther !== null && isAt(bytes, startBytes, lengthBytes, this.#lastOtherBytes)) {
      return this.#lastOther
    }
    const raw = lengthBytes < 2 ? NAMELESS : bytes.subarray(startBytes, startBytes + lengthBytes)
    const key = Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString('latin1')
    let address = this.#others.get(key)
    if (address === undefined) {
      address = this.#remember(raw)
      if (this.#others.size === SENDERS_MAX) this.#others.clear()
      this.#others.set(key, address)
    }
    this.#lastOtherBytes = bytes.slice(startBytes, startBytes + lengthBytes)
    this.#lastOther = address
    return address
  }

  #remember(raw: Uint8Array): Address {
    const padded = new Uint8Array(PADDED_BYTES)
    padded.set(raw)
    const address = Object.freeze(decodeAddress(padded, raw.length))
    this.#raws.set(address, toWords(raw))
    return address
  }
}

/** The raw form of an address that was given. */
export function encodeRaw(address: Address): RawAddress {
  return toWords(encodeAddress(address))
}

/** For people, as it is seldom asked for. */
export function decodeRaw({ words, lengthBytes }: RawAddress): Address {
  const padded = new Uint8Array(PADDED_BYTES)
  padded.set(new Uint8Array(words.buffer, words.byteOffset, lengthBytes))
  return decodeAddress(padded, lengthBytes)
}

function isAt(
  bytes: Uint8Array,
  startBytes: number,
  lengthBytes: number,
  wanted: Uint8Array,
): boolean {
  if (wanted.length !== lengthBytes) return false
  for (let index = 0; index < lengthBytes; index++) {
    if (bytes[startBytes + index] !== wanted[index]) return false
  }
  return true
}

function toWords(raw: Uint8Array): RawAddress {
  const words = new Uint32Array(Math.ceil(raw.length / 4))
  new Uint8Array(words.buffer).set(raw)
  return { words, lengthBytes: raw.length }
}
