import { readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { formatBytes, KernelError, MIB, RuntimeError } from '../base/index.ts'
import { replaceFile } from '../io/index.ts'
import { type Command, readNumber } from './command.ts'
import { findMount, findQueue, freeBytes } from './doctor/mount.ts'
import { readText } from './doctor/read.ts'
import { type Measured, measureFolder } from './iotune/measure.ts'
import { mergeProperties, type SavedDevice } from './iotune/properties.ts'
import { wrap } from './style.ts'

const FLAGS = {
  output: {
    type: 'string',
    short: 'o',
    placeholder: 'FILE',
    summary:
      'the file to save to, where other devices stay as they are: percore-io.json if not given',
  },
  seconds: {
    type: 'string',
    placeholder: 'SECONDS',
    summary: 'how long each of the four measurements takes: 0.05 to 600, 5 if not given',
  },
  size: {
    type: 'string',
    placeholder: 'MIB',
    summary:
      'length of the file that is read and written, for the time: 4 to 1048576, 1024 if not given',
  },
  json: { type: 'boolean', summary: 'print what was measured as JSON' },
} as const

const OUTPUT = 'percore-io.json'

/** A folder that can't be measured: a sentence, exit code 1. */
class TuneError extends Error {}

/** `percore iotune`: what the device below a folder can do, for the I/O scheduler. */
export const iotune: Command<typeof FLAGS> = {
  name: 'iotune',
  summary: 'measure the device below a folder, for task queues to share it',
  description: wrap(
    'Measures how many bytes and operations a second the device below a folder reads and writes, by direct I/O on a file there, which is removed ' +
      'afterwards. Nothing else should use the device meanwhile. The result is saved as JSON; an executor uses it by its option ioProperties, or by the environment variable ' +
      'PERCORE_IO_PROPERTIES. Exits with 0, and with 1 if the folder cannot be measured.',
  ),
  flags: FLAGS,
  operand: { placeholder: 'DIR', summary: 'a folder on the device; the current one if not given' },

  async main({ output = OUTPUT, seconds, size, json = false }, operand = '.') {
    const time = { name: 'seconds', text: seconds, otherwise: 5 }
    const runMs = readNumber(iotune, time, { min: 0.05, max: 600 }) * 1000
    const length = { name: 'size', text: size, otherwise: 1024 }
    const sizeBytes = Math.ceil(readNumber(iotune, length, { min: 4, max: 2 ** 20 })) * MIB
    const folder = resolve(operand)
    try {
      const place = findPlace(folder, sizeBytes)
      const before = readSaved(output)
      if (!json) process.stderr.write(`Measuring ${place.name} below ${folder} …\n`)
      const measured = await measureFolder(folder, { runMs, sizeBytes })
      const device: SavedDevice = { ...place, measuredAt: new Date().toISOString(), ...measured }
      // No executor ever reads a half.
      await replaceFile(output, mergeProperties(before, device, output))
      process.stdout.write(json ? `${JSON.stringify(device)}\n` : describe(device, output))
      return 0
    } catch (error) {
      if (!isExpected(error)) throw error
      process.stderr.write(`${wrap(error.message)}\n`)
      return 1
    }
  },
}

function isExpected(error: unknown): error is Error {
  if (error instanceof TuneError || error instanceof KernelError) return true
  return error instanceof RuntimeError || (error instanceof Error && 'syscall' in error)
}

function findPlace(
  folder: string,
  sizeBytes: number,
): Pick<SavedDevice, 'device' | 'name' | 'folder'> {
  if (!statSync(folder).isDirectory()) {
    throw new TuneError(`Cannot measure '${folder}' as it must be a folder: it is not`)
  }
  const mount = findMount(folder)
  const queue = findQueue(mount.device)
  const device = queue === undefined ? undefined : readText(join(queue.folder, '../dev'))
  if (queue === undefined || device === undefined) {
    throw new TuneError(
      `Cannot measure '${folder}' as it must be on a block device: it is on ${mount.type} (${mount.source})`,
    )
  }
  if (freeBytes(folder) < sizeBytes) {
    throw new TuneError(
      `Cannot measure '${folder}' as ${formatBytes(sizeBytes)} must be free there: ${formatBytes(freeBytes(folder))} are; give a smaller --size`,
    )
  }
  return { device, name: queue.name, folder }
}

function readSaved(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return null
    throw error
  }
}

function describe(device: SavedDevice & Measured, output: string): string {
  const line = (name: 'read' | 'write'): string => {
    const { bytesPerSecond, operationsPerSecond } = device[name]
    const rate = `${formatBytes(bytesPerSecond)}/s in requests of 1 MiB`
    return `  ${name.padEnd(5)}  ${rate}, ${Math.round(operationsPerSecond)} operations/s of 4 KiB`
  }
  return [
    `${device.name} (${device.device})`,
    line('read'),
    line('write'),
    `Saved to ${output}: set PERCORE_IO_PROPERTIES to it, or give it as the option ioProperties.`,
    '',
  ].join('\n')
}
