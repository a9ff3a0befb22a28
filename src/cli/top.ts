import { setTimeout as delay } from 'node:timers/promises'
import { type Command, readNumber, refuse } from './command.ts'
import { type Style, styleOf, WIDTH_MAX, wrap } from './style.ts'
import {
  findProcess,
  findProcesses,
  ProcessError,
  type ProcessSample,
  type SeenProcess,
} from './top/processes.ts'
import { compare, type ExecutorActivity } from './top/rates.ts'
import { Screen } from './top/screen.ts'
import { clean, cut, formatExecutors, formatProcesses, formatSeconds } from './top/tables.ts'

const FLAGS = {
  once: { type: 'boolean', summary: 'print one interval, then end' },
  json: { type: 'boolean', summary: 'print a JSON document for each interval, a line each' },
  interval: {
    type: 'string',
    placeholder: 'SECONDS',
    summary: 'how long an interval is: 0.1 to 3600, 1 if not given',
  },
} as const

const INTERVAL_SECONDS = { min: 0.1, max: 3600 } as const
/** What the list of processes shows is measured over so long. */
const LIST_MS = 200

/** `percore top`: what the executors of a running process do. */
export const top: Command<typeof FLAGS> = {
  name: 'top',
  summary: 'what the executors of a running process do, also of one that hangs',
  description: wrap(
    'Shows the counters that a process of this user publishes in /dev/shm; nobody is stopped or asked. Without a PID ' +
      'it lists these processes, once. Exits with 0, also when the process ends while it is shown, and with 1 if it cannot be shown.',
  ),
  flags: FLAGS,
  operand: { placeholder: 'PID', summary: 'number of the process to show' },

  async main({ once = false, json = false, interval }, operand) {
    const option = { name: 'interval', text: interval, otherwise: 1 }
    const intervalMs = readNumber(top, option, INTERVAL_SECONDS) * 1000
    if (operand === undefined) {
      const listed = await sampleAll()
      process.stdout.write(json ? listAsJson(listed) : listAsText(listed))
      return 0
    }
    const pid = readPid(operand)
    try {
      const shown = findProcess(pid)
      try {
        return await show(shown, { intervalMs, isOnce: once, isJson: json })
      } finally {
        shown.close()
      }
    } catch (error) {
      if (!(error instanceof ProcessError)) throw error
      process.stderr.write(`${wrap(error.message)}\n`)
      return 1
    }
  },
}

interface ShowOptions {
  readonly intervalMs: number
  readonly isOnce: boolean
  readonly isJson: boolean
}

async function show(shown: SeenProcess, options: ShowOptions): Promise<number> {
  const { intervalMs, isOnce, isJson } = options
  // What another program reads has no use for a screen that is drawn over.
  using screen = isOnce || isJson || !process.stdout.isTTY ? null : new Screen(process.stdout)
  let before = shown.sample()
  for (;;) {
    const isWoken = await pause(intervalMs, screen)
    if (isWoken) return 0
    const after = shown.sample()
    if (shown.hasEnded) {
      if (isOnce) throw new ProcessError(`Cannot show process ${shown.pid} as it has just ended`)
      screen?.[Symbol.dispose]()
      process.stderr.write(`Process ${shown.pid} has ended\n`)
      return 0
    }
    const executors = compare(before, after)
    const view = { shown, after, executors, seconds: (after.nowNs - before.nowNs) / 1e9 }
    if (isJson) process.stdout.write(`${formatJson(view)}\n`)
    else if (screen !== null) screen.draw(formatView(view, process.stdout))
    else
      process.stdout.write(`${formatView(view, process.stdout).join('\n')}\n${isOnce ? '' : '\n'}`)
    if (isOnce) return 0
    before = after
  }
}

/** Waits for the next moment; true if the user has ended it. */
async function pause(ms: number, screen: Screen | null): Promise<boolean> {
  if (screen === null) {
    await delay(ms)
    return false
  }
  const aborter = new AbortController()
  const isEnded = await Promise.race([
    screen.ended.then(() => true),
    delay(ms, false, { signal: aborter.signal }),
  ])
  aborter.abort()
  return isEnded
}

function readPid(text: string): number {
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text)
  throw refuse(top, `PID must be the number of a process: it is '${text}'`)
}

function listAsText(processes: readonly Listed[]): string {
  if (processes.length === 0) {
    return 'No process of this user has an executor whose counters it can see here.\n'
  }
  const rows = processes.map(({ shown, executors }) => ({
    pid: shown.pid,
    executorCount: executors.length,
    busy: executors.reduce((sum, { rates }) => sum + rates.percore_busy_seconds_total!, 0),
    command: shown.command,
  }))
  const style = styleOf(process.stdout)
  return `${formatProcesses(rows, widthOf(process.stdout), style).join('\n')}\n`
}

function listAsJson(listed: readonly Listed[]): string {
  const processes = listed.map(({ shown, executors }) => ({
    pid: shown.pid,
    isForeign: shown.isForeign,
    command: shown.command,
    executorCount: executors.length,
  }))
  return `${JSON.stringify({ top: 1, processes })}\n`
}

/** A process, with what its executors do. */
interface Listed {
  readonly shown: SeenProcess
  readonly executors: readonly ExecutorActivity[]
}

async function sampleAll(): Promise<Listed[]> {
  const begun = findProcesses().map((shown) => ({ shown, before: shown.sample() }))
  if (begun.length > 0) await delay(LIST_MS)
  return begun.flatMap(({ shown, before }) => {
    const executors = compare(before, shown.sample())
    const hasEnded = shown.hasEnded
    shown.close()
    return hasEnded ? [] : [{ shown, executors }]
  })
}

/** A process over an interval. */
interface View {
  readonly shown: SeenProcess
  readonly after: ProcessSample
  readonly executors: readonly ExecutorActivity[]
  readonly seconds: number
}

function formatView(
  { shown, after, executors, seconds }: View,
  stream: NodeJS.WriteStream,
): string[] {
  const width = widthOf(stream)
  const style: Style = styleOf(stream)
  const { hiddenCount } = after
  const hidden = hiddenCount === 0 ? '' : `, up to ${hiddenCount} more unseen for want of room`
  const head = `Process ${shown.pid}, ${formatCountOf(executors.length)}${hidden}, over ${formatSeconds(seconds)}: ${clean(shown.command)}`
  return [cut(head, width), '', ...formatExecutors(executors, width, style)]
}

function formatCountOf(executorCount: number): string {
  return executorCount === 1 ? '1 executor' : `${executorCount} executors`
}

function formatJson({ shown, after, executors, seconds }: View): string {
  const { pid, command, isForeign } = shown
  return JSON.stringify({
    top: 1,
    pid,
    isForeign,
    command,
    seconds,
    hiddenCount: after.hiddenCount,
    executors,
  })
}

/** As wide as the terminal, or as `COLUMNS` says; a file has room for everything. */
function widthOf(stream: NodeJS.WriteStream): number {
  const columns = stream.isTTY ? stream.columns : Number(process.env.COLUMNS)
  return columns > 0 ? columns : 2 * WIDTH_MAX
}
