import { availableParallelism, cpus, loadavg, release } from 'node:os'
import { MIB } from '../base/index.ts'
import { CpuSet } from '../topology/index.ts'
import { type Command, UsageError } from './command.ts'
import { countState, type Examination, examine, findingsOf } from './doctor/examine.ts'
import { type Style, styleOf, wrap } from './style.ts'
import { choosePlace, createFile, type Place, PlaceError } from './tour/place.ts'
import { createProgress, type Progress } from './tour/progress.ts'
import { formatStep, ratioOf, type Step } from './tour/report.ts'
import { Side, SideError } from './tour/side.ts'
import {
  type Bench,
  type Pace,
  runCores,
  runFiles,
  runLatency,
  runShares,
  runSockets,
} from './tour/steps.ts'
import { readVersion } from './version.ts'

const FLAGS = {
  json: { type: 'boolean', summary: 'print one JSON document instead' },
  dir: { type: 'string', placeholder: 'DIR', summary: 'where to put the file, removed at the end' },
  quick: { type: 'boolean', summary: 'a few seconds, to see that it runs: figures mean little' },
} as const

const FULL: Pace = {
  fileBytes: 256 * MIB,
  repetitionCount: 3,
  warmupMs: 200,
  rateMs: 500,
  sharesMs: 2_000,
  delayMs: 1_500,
}
const QUICK: Pace = {
  fileBytes: 16 * MIB,
  repetitionCount: 1,
  warmupMs: 20,
  rateMs: 100,
  sharesMs: 300,
  delayMs: 200,
}

/** More work than this before the tour, per processor, and its figures suffer. */
const BUSY_FRACTION = 0.5

/** What the tour found out. */
interface Tour {
  readonly examination: Examination
  readonly place: Place
  readonly steps: readonly Step[]
  readonly isQuick: boolean
  /** Programs that wanted to run in the minute before. */
  readonly loadBefore: number
  readonly elapsedSeconds: number
}

/** `percore tour`: what percore does on this machine, next to Node alone, in half a minute. */
export const tour: Command<typeof FLAGS> = {
  name: 'tour',
  summary: 'what percore does on this machine next to Node alone, in half a minute',
  description: wrap(
    'Checks the kernel, writes a file of 256 MiB and reads it at random, echoes over TCP, runs task ' +
      'queues at 2:1 and urgent work beside busy work, and uses all processors; each next to what Node does by itself, measured ' +
      'in turn, medians of three. The file is put into ./build or a temporary folder, and removed.',
  ),
  flags: FLAGS,

  async main({ json, dir, quick = false }) {
    if (dir === '') {
      throw new UsageError('Cannot run percore tour as --dir must name a folder: it is empty')
    }
    const fromMs = performance.now()
    const loadBefore = loadavg()[0] ?? 0
    const progress = createProgress(process.stderr)
    progress.part('Checking the kernel')
    const examination = await examine(process.cwd())
    if (!examination.canRun) {
      progress.clear()
      return refuse(examination, json === true)
    }
    const pace = quick ? QUICK : FULL
    const { place, remove } = openPlace(dir, pace)
    const steps = await tryRun(() => runSteps({ place, remove }, pace, progress))
    if (steps === null) return 1
    const elapsedSeconds = (performance.now() - fromMs) / 1_000
    const result = { examination, place, steps, isQuick: quick, loadBefore, elapsedSeconds }
    const text = json ? formatJson(result) : formatText(result, styleOf(process.stdout))
    process.stdout.write(text)
    return 0
  },
}

/** Null if a side failed, on a full disk say. */
async function tryRun<T>(run: () => Promise<T>): Promise<T | null> {
  try {
    return await run()
  } catch (error) {
    if (!(error instanceof SideError)) throw error
    process.stderr.write(`${wrap(`Cannot finish the tour: ${error.message}`)}\n`)
    return null
  }
}

/** Where the file is, and how to remove it. */
interface OpenPlace {
  readonly place: Place
  readonly remove: () => void
}

function openPlace(dir: string | undefined, pace: Pace): OpenPlace {
  try {
    const place = choosePlace(dir, pace.fileBytes)
    return { place, remove: createFile(place) }
  } catch (error) {
    if (!(error instanceof PlaceError)) throw error
    throw new UsageError(wrap(error.message))
  }
}

async function runSteps(
  { place, remove }: OpenPlace,
  pace: Pace,
  progress: Progress,
): Promise<readonly Step[]> {
  const percore = new Side('percore')
  const node = new Side('node')
  const bench: Bench = { percore, node, pace, progress }
  try {
    const files = await runFiles(bench, place)
    remove()
    const steps = [files, await runSockets(bench), await runShares(bench), await runLatency(bench)]
    return CpuSet.allowed().size < 2 ? steps : [...steps, await runCores(bench)]
  } finally {
    progress.clear()
    percore[Symbol.dispose]()
    node[Symbol.dispose]()
    remove()
  }
}

/** percore can't run here: says why, what to change, and where the rest is. */
function refuse({ sections }: Examination, isJson: boolean): number {
  const broken = findingsOf(sections).filter(({ state }) => state === 'broken')
  if (isJson) {
    process.stdout.write(`${JSON.stringify({ ...versions(), canRun: false, broken }, null, 2)}\n`)
  }
  for (const { text, change } of broken) {
    process.stderr.write(`${wrap(`Cannot run percore here. ${text}`)}\n`)
    process.stderr.write(`${wrap(`→ ${change}`, { indent: 2, hanging: 4 })}\n`)
  }
  process.stderr.write('Everything that was looked at: percore doctor\n')
  return 1
}

function versions(): Readonly<Record<string, unknown>> {
  return { tour: 1, percore: readVersion(), node: process.versions.node, kernel: release() }
}

function formatJson({
  examination,
  place,
  steps,
  isQuick,
  loadBefore,
  elapsedSeconds,
}: Tour): string {
  const { mount } = place
  const withRatios = steps.map((step) => ({
    ...step,
    rows: step.rows.map((row) => ({ ...row, what: row.what.trim(), ratio: ratioOf(row) })),
  }))
  const document = {
    ...versions(),
    canRun: true,
    isQuick,
    loadBefore,
    elapsedSeconds,
    doctor: findingsOf(examination.sections).map(({ id, state, text }) => ({ id, state, text })),
    file: { folder: mount.folder, type: mount.type, source: mount.source },
    steps: withRatios,
  }
  return `${JSON.stringify(document, null, 2)}\n`
}

function formatText(result: Tour, style: Style): string {
  return [
    ...formatHead(result, style),
    ...result.steps.map((step) => formatStep(step, style)),
    ...formatEnd(result, style),
  ].join('\n')
}

function formatHead({ examination: { sections }, isQuick }: Tour, style: Style): readonly string[] {
  const processors = cpus()
  const betterCount = countState(sections, 'could be better')
  const advice = betterCount === 0 ? '' : ` ${betterCount} could be better: see percore doctor.`
  return [
    style.bold(`percore ${readVersion()} on this machine`),
    `  Linux ${release()}, Node ${process.versions.node}, ${processors.length} x ${processors[0]?.model.trim() ?? 'unknown'}`,
    wrap(`io_uring works, and ${countState(sections, 'ok')} checks are ok.${advice}`, {
      indent: 2,
    }),
    ...(isQuick ? ['  A quick run: the figures mean little.'] : []),
    '',
  ]
}

function formatEnd({ elapsedSeconds, loadBefore }: Tour, style: Style): readonly string[] {
  const processorCount = availableParallelism()
  const isBusy = loadBefore > BUSY_FRACTION * processorCount
  const about =
    `All figures are of this run, of ${elapsedSeconds.toFixed(0)} s: medians, sides measured in turn, each in ` +
    'its own process. Other work on the machine moves them, the ratios less than the figures.'
  const busy = ` It was busy before the tour began (a load of ${loadBefore.toFixed(1)} on ${processorCount} processors): figures, delays above all, are worse than on a quiet one.`
  const next =
    'README.md says how to use percore; percore doctor, what would let it run better here. In a ' +
    'checkout, examples/ has programs to start from, and npm run bench measures with more care, ' +
    'against C and fio as well.'
  return [
    style.bold('What this means'),
    wrap(`${about}${isBusy ? busy : ''}`, { indent: 2 }),
    '',
    style.bold('Where to go next'),
    wrap(next, { indent: 2 }),
    '',
  ]
}
