export type { Lease } from '../memory/index.ts'
export type { ByteSink } from './byte-sink.ts'
export type { ByteSource } from './byte-source.ts'
