/** A shard has failed, and with it the simulated program; `cause` is what it failed of. */
export class ShardFailure extends Error {}
