/** What a connection has said of itself. */
export interface Session {
  readonly id: number
  readonly shardCount: number
  readonly port: number
  name: string
  /** It has asked to quit: nothing that it sends counts any more. */
  isQuitting: boolean
}
