import { IORING_OP_FTRUNCATE } from '../kernel/index.ts'
import type { SimOperation } from './core.ts'
import { CONTROL_OPERATIONS } from './operations-control.ts'
import { FILE_OPERATIONS } from './operations-files.ts'
import { PATH_OPERATIONS } from './operations-paths.ts'
import { SOCKET_OPERATIONS } from './operations-sockets.ts'

const OPCODES = 64

/** Every opcode of the simulated kernel; one that is added is added to one of these tables. */
export function createOperations(hasFtruncate: boolean): readonly (SimOperation | undefined)[] {
  const table = new Array<SimOperation | undefined>(OPCODES).fill(undefined)
  for (const entries of [CONTROL_OPERATIONS, FILE_OPERATIONS, PATH_OPERATIONS, SOCKET_OPERATIONS]) {
    for (const [opcode, operation] of entries) table[opcode] = operation
  }
  if (!hasFtruncate) table[IORING_OP_FTRUNCATE] = undefined
  return table
}
