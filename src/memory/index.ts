export { BuddyAllocator } from './buddy.ts'
export { IoBuffer } from './io-buffer.ts'
export { type Arena, IoMemory, type IoMemoryOptions } from './io-memory.ts'
