/**
 * Whether the environment asks for checks that cost time: `PERCORE_DEBUG=1`, read once.
 *
 * Released I/O memory is poisoned and its views are emptied; leases are written down with a stack.
 */
export const isDebugging: boolean = process.env.PERCORE_DEBUG === '1'
