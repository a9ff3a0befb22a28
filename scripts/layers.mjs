/** The layers of src/, from the bottom to the top: the one place that says what may import what. */

export const LAYERS = [
  { folders: ['base'], purpose: 'assertions, errors, numbers: no I/O, no clock' },
  { folders: ['kernel', 'stats'], purpose: 'the port (io_uring ABI) and its drivers; counters' },
  { folders: ['memory', 'topology', 'sim'], purpose: 'arenas; processors; the simulated kernel' },
  { folders: ['ring'], purpose: 'one io_uring: entries out, completions in, buffer rings' },
  { folders: ['reactor'], purpose: 'the rings of a thread, timers, wakes, parking, cancel' },
  { folders: ['executor'], purpose: 'tasks, task queues, shares, latency, preemption' },
  {
    folders: ['sync', 'time', 'channels', 'streams', 'blocking'],
    purpose: 'what tasks wait on; threads for what blocks',
  },
  { folders: ['io', 'net'], purpose: 'files; sockets' },
  { folders: ['runtime'], purpose: 'executors on many threads: pools, contexts, drivers' },
  {
    folders: ['controllers', 'node', 'otel', 'testing'],
    purpose: 'feedback; adapters to Node, to OpenTelemetry; simulation',
  },
  { folders: ['cli'], purpose: 'the `percore` command' },
]

/** The parts of large folders, each of which may import those before it. What lies beside them is made of all. */
export const PARTS = {
  io: ['values', 'ranges', 'devices', 'requests', 'names', 'streams', 'bulk'],
  net: ['values', 'memory', 'receiving', 'sending', 'sockets', 'datagrams', 'streams', 'listeners'],
}

/** Line of a folder in {@link LAYERS}, -1 if it has none. */
export function findLayer(folder) {
  return LAYERS.findIndex((layer) => layer.folders.includes(folder))
}

/** The layers as a Markdown table, from the top to the bottom, as docs/ARCHITECTURE.md shows them. */
export function drawLayers() {
  const rows = LAYERS.map(({ folders, purpose }, line) => {
    return `| ${line} | ${folders.map((folder) => `\`${folder}\``).join(' ')} | ${purpose} |`
  })
  const native = '| | `native/` | C, one function per system call; reached from `kernel` alone |'
  return [
    '| line | folders | what they hold |',
    '| ---: | --- | --- |',
    ...rows.reverse(),
    native,
  ].join('\n')
}
