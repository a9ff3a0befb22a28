import { type Style, wrap } from '../style.ts'

/** One comparison: the medians of both sides. */
export interface Row {
  readonly what: string
  readonly unit: string
  readonly better: 'more' | 'less'
  readonly percore: number
  /** Null where Node has nothing to compare with. */
  readonly node: number | null
}

/** One part of the tour. */
export interface Step {
  readonly id: 'files' | 'sockets' | 'shares' | 'latency' | 'cores'
  readonly title: string
  /** What was done, and how. */
  readonly description: string
  readonly rows: readonly Row[]
  readonly notes: readonly string[]
}

const WHAT_WIDTH = 38
const FIGURE_WIDTH = 19

/** The step as a table of at most 100 columns. */
export function formatStep(step: Step, style: Style): string {
  const columns = step.rows.some(({ node }) => node !== null)
  const head = `  ${''.padEnd(WHAT_WIDTH)}${'percore'.padStart(FIGURE_WIDTH)}${columns ? 'Node'.padStart(FIGURE_WIDTH) : ''}`
  return [
    style.bold(step.title),
    wrap(step.description, { indent: 2 }),
    '',
    style.dim(head),
    ...step.rows.map((row) => formatRow(row, style)),
    ...step.notes.map((note) => `${wrap(`Note: ${note}`, { indent: 2 })}`),
    '',
  ].join('\n')
}

/** `percore / node`, or null without a peer. */
export function ratioOf({ percore, node }: Row): number | null {
  return node === null || node === 0 ? null : percore / node
}

function formatRow(row: Row, style: Style): string {
  const ours = formatFigure(row.percore, row.unit).padStart(FIGURE_WIDTH)
  const peer = row.node === null ? '' : formatFigure(row.node, row.unit).padStart(FIGURE_WIDTH)
  return `  ${row.what.padEnd(WHAT_WIDTH)}${ours}${peer}${formatRatio(row, style)}`.trimEnd()
}

/** `2.3x more`: what percore's figure is of Node's; green where that is better, yellow where worse. */
function formatRatio(row: Row, style: Style): string {
  const ratio = ratioOf(row)
  if (ratio === null) return ''
  const isMore = ratio >= 1
  const factor = isMore ? ratio : 1 / ratio
  if (factor < 1.05) return '    about equal'
  const text = `${factor < 10 ? factor.toFixed(1) : Math.round(factor)}x ${isMore ? 'more' : 'less'}`
  const isBetter = isMore === (row.better === 'more')
  return `    ${isBetter ? style.green(text) : style.yellow(`${text} (worse)`)}`
}

/** Three digits that mean something, with thousands set apart. */
export function formatFigure(value: number, unit: string): string {
  const text = value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(3)
  return `${text} ${unit}`
}
