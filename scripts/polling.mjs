/**
 * Checks files whose device is polled, on drives that this machine does not have, in virtual ones that a program of yours starts:
 * `node scripts/polling.mjs --runner <program> --kernel 6.1 --kernel 6.12 [option of the runner ...]`.
 *
 * The runner is called twice for each kernel, for drives with queues to poll and for drives without: as `<program> --kernel 6.1
 * --no-nvme --nvme 400M,fs=xfs --nvme 400M,fs=ext4 --nvme 256M,fs=raw --poll-queues 2 [option ...] -- command ...`. It runs the command as root in the
 * current folder of a guest which sees this host's files, Node among them, at the same paths, and has those NVMe drives as
 * /mnt/xfs, /mnt/ext4 and /dev/vm/disk2; it passes the output on, and exits with the code.
 */
import { buildIfNeeded } from './build.mjs'
import { readPlan } from './kernels.mjs'
import { runMachines } from './machines.mjs'
import { runAsProgram } from './project.mjs'

const DRIVES = ['400M,fs=xfs', '400M,fs=ext4', '256M,fs=raw']
const PLACES = ['/mnt/xfs', '/mnt/ext4', '/dev/vm/disk2']

function main(args) {
  const { runner, kernels, options } = readPlan(args)
  return buildIfNeeded() || runMachines(runner, planPolling(kernels, options))
}

/** The machines to check, each with and without queues to poll. */
export function planPolling(kernels, options) {
  const drives = ['--no-nvme', ...DRIVES.flatMap((drive) => ['--nvme', drive])]
  return kernels.flatMap((kernel) =>
    [2, 0].map((queueCount) => {
      const machine = ['--kernel', kernel, ...drives, '--poll-queues', String(queueCount)]
      const isPolled = queueCount > 0 ? 'polled' : 'not-polled'
      const command = [process.execPath, 'scripts/polling-check.mjs', isPolled, ...PLACES]
      return {
        name: `Linux ${kernel}, ${queueCount} queues to poll`,
        words: [...machine, ...options, '--', ...command],
      }
    }),
  )
}

await runAsProgram(import.meta.url, main)
