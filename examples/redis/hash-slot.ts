/** How many slots Redis Cluster has. */
export const SLOT_COUNT = 16_384

/** CRC-16/XMODEM of each byte. */
const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
  return crc
})

/** The slot of a key, as Redis Cluster has it: by what is within the first `{}`, if that is anything. */
export function slotOf(key: string): number {
  const open = key.indexOf('{')
  const close = open === -1 ? -1 : key.indexOf('}', open)
  const isTagged = close > open + 1
  let crc = 0
  const until = isTagged ? close : key.length
  for (let at = isTagged ? open + 1 : 0; at < until; at++) {
    crc = ((crc << 8) ^ TABLE[((crc >> 8) ^ key.charCodeAt(at)) & 0xff]!) & 0xffff
  }
  return crc % SLOT_COUNT
}
