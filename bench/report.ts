/** Prints a report: a table for people, and one line of JSON per row for programs. */

import { formatParams, PERCORE, type Report, type Row, type Summary } from './harness.ts'

/**
 * One line of JSON for one row.
 *
 * `percore` is null, and `ratio` empty, if that side did not run; a ratio is percore ÷ peer.
 */
export function formatJsonRow(bench: string, row: Row): string {
  const percore = row.summaries.get(PERCORE)?.median
  const peers: Record<string, number> = {}
  const ratio: Record<string, number> = {}
  for (const [name, { median }] of row.summaries) {
    if (name === PERCORE) continue
    peers[name] = round(median)
    if (percore !== undefined && median !== 0) ratio[name] = Number((percore / median).toFixed(3))
  }
  return JSON.stringify({
    bench,
    unit: row.metric.unit,
    percore: percore === undefined ? null : round(percore),
    peers,
    ratio,
    params: row.params,
  })
}

/** The table: a line per row, a column per side with its median and, below it, its range. */
export function formatTable(report: Report): string {
  const names = [...new Set(report.rows.flatMap((row) => [...row.summaries.keys()]))]
  const peers = names.filter((name) => name !== PERCORE)
  const header = ['params', 'unit', 'better', PERCORE, ...peers, 'percore ÷ peer']
  const lines = report.rows.map((row) => [
    formatParams(row.params),
    row.metric.unit,
    row.metric.better,
    formatSummary(row.summaries.get(PERCORE)),
    ...peers.map((name) => formatSummary(row.summaries.get(name))),
    formatRatios(row, peers),
  ])
  return alignColumns([header, ...lines])
}

function formatSummary(summary: Summary | undefined): string {
  if (summary === undefined) return '-'
  const { median, min, max } = summary
  return `${round(median)} (${round(min)}..${round(max)})`
}

function formatRatios(row: Row, peers: readonly string[]): string {
  const percore = row.summaries.get(PERCORE)?.median
  if (percore === undefined) return '-'
  const parts: string[] = []
  for (const name of peers) {
    const median = row.summaries.get(name)?.median
    if (median !== undefined && median !== 0) parts.push(`${name} ${(percore / median).toFixed(2)}`)
  }
  return parts.length === 0 ? '-' : parts.join(', ')
}

function alignColumns(lines: readonly (readonly string[])[]): string {
  const widths = lines[0]!.map((_, column) =>
    Math.max(...lines.map((line) => line[column]!.length)),
  )
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Four digits, or all of those before the point: more would claim a precision nobody has. */
function round(value: number): number {
  return Math.abs(value) >= 1_000 ? Math.round(value) : Number(value.toPrecision(4))
}
