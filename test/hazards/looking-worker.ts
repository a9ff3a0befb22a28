/** A thread that looks at one block of memory after the other, and at nothing else, until it is terminated. */

import { parentPort, workerData } from 'node:worker_threads'
import { loadAddon } from '../../src/kernel/addon.ts'
import { UringMemory } from '../../src/kernel/uring-memory.ts'

const { lengthBytes } = workerData as { lengthBytes: number }
const addon = loadAddon()
const { handle } = new UringMemory(addon, lengthBytes)
parentPort!.postMessage('looking')
for (let block = 0; ; block = (block + 1) % 4096) addon.memoryShare(handle, block * 512, 512)
