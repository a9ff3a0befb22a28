/** A module that the third shard of a pool cannot load. */
import { executor } from '../../src/index.ts'

if (executor().name === 'pool-2') throw new Error('planted')

export { default } from './pool-shard.ts'
