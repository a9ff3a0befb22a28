/** Processes and executors as tables of text, as wide as there is room for. */
import type { Style } from '../style.ts'
import type { Activity, ExecutorActivity } from './rates.ts'

/** A turn that lasts as long as this is shown with its time. */
const LONG_SECONDS = 0.1
/** And with more emphasis from here on. */
const HANGING_SECONDS = 1
const NAME_MAX = 24
const GAP = '  '
const MARK = /\p{Mn}|\p{Me}/u
/** Most of what Unicode calls wide: scripts of East Asia, full-width forms, pictures. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u

interface Column<T> {
  readonly title: string
  readonly isText?: boolean
  cell(row: T): string
}

const EXECUTOR_COLUMNS: readonly Column<ExecutorActivity>[] = [
  { title: 'EXECUTOR', isText: true, cell: ({ name }) => cut(clean(name), NAME_MAX) },
  { title: 'STATE', isText: true, cell: formatState },
  rateColumn('BUSY', 'percore_busy_seconds_total', formatPercent),
  rateColumn('POLL', 'percore_spun_seconds_total', formatPercent),
  rateColumn('NODE', 'percore_host_seconds_total', formatPercent),
  rateColumn('GC', 'percore_gc_pause_seconds_total', formatPercent),
  rateColumn('TURNS/s', 'percore_turns_total', formatCount),
  rateColumn('OPS/s', 'percore_ring_submissions_total', formatCount),
  valueColumn('FLIGHT', 'percore_operations_in_flight', formatCount),
  rateColumn('TASKS/s', 'percore_tasks_total', formatCount),
  valueColumn('CONNS', 'percore_sockets', formatCount),
  rateColumn('RECV/s', 'percore_received_bytes_total', formatBytes),
  rateColumn('SENT/s', 'percore_sent_bytes_total', formatBytes),
  rateColumn('READ/s', 'percore_file_read_bytes_total', formatBytes),
  rateColumn('WRITE/s', 'percore_file_written_bytes_total', formatBytes),
  valueColumn('MEMORY', 'percore_io_memory_used_bytes', formatBytes),
  valueColumn('TIMERS', 'percore_timers', formatCount),
  rateColumn('CHAN IN/s', 'percore_channel_received_total', formatCount),
  rateColumn('CHAN OUT/s', 'percore_channel_sent_total', formatCount),
  rateColumn('WAKES/s', 'percore_wakes_total', formatCount),
]

/** A task queue, and whose it is. */
export interface QueueRow extends Activity {
  readonly executor: string
}

const QUEUE_COLUMNS: readonly Column<QueueRow>[] = [
  { title: 'QUEUE', isText: true, cell: ({ name }) => cut(clean(name), NAME_MAX) },
  { title: 'OF', isText: true, cell: ({ executor }) => cut(clean(executor), NAME_MAX) },
  rateColumn('RUNS', 'percore_queue_runtime_seconds_total', formatPercent),
  valueColumn('SHARES', 'percore_queue_shares', formatCount),
  valueColumn('TASKS', 'percore_queue_tasks', formatCount),
  rateColumn('TURNS/s', 'percore_queue_turns_total', formatCount),
  rateColumn('SETTLED/s', 'percore_queue_settled_total', formatCount),
  rateColumn('READ/s', 'percore_queue_file_read_bytes_total', formatBytes),
  rateColumn('WRITE/s', 'percore_queue_file_written_bytes_total', formatBytes),
  valueColumn('HELD', 'percore_queue_file_held_requests', formatCount),
]

/** A process in the list of them. */
export interface ProcessRow {
  readonly pid: number
  readonly executorCount: number
  /** How many processors it uses, by its executors. */
  readonly busy: number
  readonly command: string
}

const PROCESS_COLUMNS: readonly Column<ProcessRow>[] = [
  { title: 'PID', cell: ({ pid }) => String(pid) },
  { title: 'EXECUTORS', cell: ({ executorCount }) => String(executorCount) },
  { title: 'BUSY', cell: ({ busy }) => formatPercent(busy) },
  { title: 'COMMAND', isText: true, cell: ({ command }) => clean(command) },
]

/** Executors, a line each, and below them what their task queues do, the busiest first. */
export function formatExecutors(
  executors: readonly ExecutorActivity[],
  width: number,
  style: Style,
): string[] {
  const queues = executors.flatMap(({ name, queues: of }) => {
    return of.map((queue) => ({ ...queue, executor: name }))
  })
  queues.sort((a, b) => runtimeOf(b) - runtimeOf(a))
  const hanging = new Set(
    executors.flatMap(({ heldSeconds }, index) => (heldSeconds >= HANGING_SECONDS ? [index] : [])),
  )
  return [
    ...formatTable(EXECUTOR_COLUMNS, executors, width, style, (line, row) => {
      return hanging.has(row) ? style.red(line) : line
    }),
    '',
    ...formatTable(QUEUE_COLUMNS, queues, width, style),
  ]
}

/** Processes, a line each. */
export function formatProcesses(
  processes: readonly ProcessRow[],
  width: number,
  style: Style,
): string[] {
  return formatTable(PROCESS_COLUMNS, processes, width, style)
}

/** Text that can do no harm to a terminal: control characters are shown as a dot. */
export function clean(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '·')
}

/** As much of a text as has room in so many columns of a terminal. */
export function cut(text: string, widthMax: number): string {
  if (widthOf(text) <= widthMax) return text
  let left = widthMax - 1
  const letters = Array.from(text)
  const count = letters.findIndex((letter) => {
    left -= widthOf(letter)
    return left < 0
  })
  return `${letters.slice(0, count).join('')}…`
}

/** How many columns of a terminal a text takes: none for what is put on another letter, two for what is wide. */
function widthOf(text: string): number {
  let width = 0
  for (const letter of text) width += MARK.test(letter) ? 0 : WIDE.test(letter) ? 2 : 1
  return width
}

/** Columns from the left, as many as there is room for; the first one always, cut if need be. */
function formatTable<T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
  width: number,
  style: Style,
  paint: (line: string, row: number) => string = (line) => line,
): string[] {
  const cells = columns.map(({ title, cell }) => [title, ...rows.map((row) => cell(row))])
  const widths = cells.map((column) => Math.max(...column.map((text) => widthOf(text))))
  let used = 0
  const shown = columns.filter((_, index) => {
    used += widths[index]! + (index === 0 ? 0 : GAP.length)
    return index === 0 || used <= width || isLastText(columns, index)
  })
  const lines = Array.from({ length: rows.length + 1 }, (_, row) => {
    const texts = shown.map((column) => {
      const index = columns.indexOf(column)
      return pad(cells[index]![row]!, widths[index]!, column.isText === true)
    })
    return cut(texts.join(GAP).trimEnd(), width)
  })
  return lines.map((line, row) => (row === 0 ? style.bold(line) : paint(line, row - 1)))
}

/** Whether it is text at the end, of which a part is better than nothing. */
function isLastText<T>(columns: readonly Column<T>[], index: number): boolean {
  return index === columns.length - 1 && columns[index]!.isText === true
}

function pad(text: string, width: number, isText: boolean): string {
  const blanks = ' '.repeat(Math.max(0, width - widthOf(text)))
  return isText ? text + blanks : blanks + text
}

function rateColumn<T extends Activity>(
  title: string,
  name: string,
  format: (value: number) => string,
): Column<T> {
  return { title, cell: ({ rates }) => format(rates[name]!) }
}

function valueColumn<T extends Activity>(
  title: string,
  name: string,
  format: (value: number) => string,
): Column<T> {
  return { title, cell: ({ values }) => format(values[name]!) }
}

function runtimeOf({ rates }: Activity): number {
  return rates.percore_queue_runtime_seconds_total!
}

function formatState({ state, queue, heldSeconds }: ExecutorActivity): string {
  const time = heldSeconds < LONG_SECONDS ? '' : ` ${formatSeconds(heldSeconds)}`
  if (state === 'turn') return `in ${cut(clean(queue ?? 'a turn'), NAME_MAX)}${time}`
  return state === 'node' ? `in Node${time}` : state
}

/** A part of a processor. */
function formatPercent(part: number): string {
  return `${Math.round(part * 100)}%`
}

/** A time, as much of it as matters. */
export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}m${Math.floor(seconds % 60)}s`
  return minutes < 48 * 60
    ? `${Math.floor(minutes / 60)}h${minutes % 60}m`
    : `${Math.floor(minutes / 1440)}d`
}

function formatCount(count: number): string {
  return formatScaled(count, 1000, ['', 'k', 'M', 'G', 'T'])
}

function formatBytes(bytes: number): string {
  return formatScaled(bytes, 1024, ['B', 'K', 'M', 'G', 'T'])
}

/** Three or four figures, and the letter of what they are to be multiplied by. */
function formatScaled(value: number, base: number, letters: readonly string[]): string {
  let scaled = value
  let index = 0
  while (scaled >= 9999.5 && index < letters.length - 1) {
    scaled /= base
    index++
  }
  const isWhole = index === 0 && (scaled >= 10 || Number.isInteger(scaled))
  const digits = isWhole || scaled >= 100 ? 0 : 1
  return `${scaled.toFixed(digits)}${letters[index]}`
}
