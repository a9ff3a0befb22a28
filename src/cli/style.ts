import type { WriteStream } from 'node:tty'

/** Columns that text is wrapped at. */
export const WIDTH_MAX = 100

/** How text may look on a stream: plain unless it is a terminal with colors. */
export interface Style {
  bold(text: string): string
  dim(text: string): string
  green(text: string): string
  yellow(text: string): string
  red(text: string): string
}

/** Plain where the stream is no terminal, or `NO_COLOR` is set. */
export function styleOf(stream: NodeJS.WriteStream): Style {
  const isColored = stream.isTTY && !process.env.NO_COLOR && (stream as WriteStream).hasColors()
  const paint = (from: number, to: number) => (text: string) =>
    isColored ? `\x1b[${from}m${text}\x1b[${to}m` : text
  return {
    bold: paint(1, 22),
    dim: paint(2, 22),
    green: paint(32, 39),
    yellow: paint(33, 39),
    red: paint(31, 39),
  }
}

/** How a paragraph is set; continuation lines are indented more if `hanging` says so. */
export interface Setting {
  readonly indent?: number
  readonly hanging?: number
}

/** Breaks a paragraph at spaces, so that no line is longer than {@link WIDTH_MAX}; long words stay whole. */
export function wrap(text: string, { indent = 0, hanging = indent }: Setting = {}): string {
  const lines: string[] = []
  let line = ' '.repeat(indent)
  let isEmpty = true
  for (const word of text.split(' ')) {
    if (!isEmpty && line.length + 1 + word.length > WIDTH_MAX) {
      lines.push(line)
      line = ' '.repeat(hanging)
      isEmpty = true
    }
    line += isEmpty ? word : ` ${word}`
    isEmpty = false
  }
  return [...lines, line].join('\n')
}
