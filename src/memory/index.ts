export { Arena } from './arena.ts'
export { BuddyAllocator } from './buddy.ts'
export { IoMemory, type IoMemoryOptions } from './io-memory.ts'
export { isLent, Lease, type LeaseOwner, leaseHeap } from './lease.ts'
