/**
 * The virtual machines that scripts/machines.mjs and scripts/placements.mjs check, and what is expected of each.
 *
 * `options` are the runner's: `--cpus <qemu's -smp> --numa <nodes> --dist <distances>`, nodes being `processors:MiB`, separated by
 * semicolons, and distances `from,to,distance`. In a situation `offline` takes processors away, `cpuset` and `memory` restrict the
 * process by a control group, `taskset` by the mask of its threads; what is offline stays so in those that follow. `spread` and
 * `pack` are processors in the order in which shards get them; `drivers` are those of each node by the layout `splitSiblings`,
 * behind the nodes that their memory comes from.
 */
export const MACHINES = [
  {
    name: 'two sockets of two cores of two threads, a node each',
    options: ['--cpus', '8,sockets=2,cores=2,threads=2', '--numa', '0-3:1024;4-7:1024'],
    situations: [
      {
        name: 'as it is',
        spread: '0 4 2 6 1 5 3 7',
        pack: '0 1 2 3 4 5 6 7',
        drivers: ['0 of 0: io 0, task 1, io 2, task 3', '1 of 1: io 4, task 5, io 6, task 7'],
      },
      {
        name: 'by taskset',
        taskset: '0-1,6',
        spread: '0 6 1',
        pack: '0 1 6',
        drivers: ['0 of 0: io 0, task 1', '1 of 1: hybrid 6'],
      },
      {
        name: 'restricted',
        cpuset: '1-5',
        memory: '1',
        spread: '1 4 2 5 3',
        pack: '2 3 1 4 5',
        drivers: ['0 of 1: hybrid 1, io 2, task 3', '1 of 1: io 4, task 5'],
      },
      {
        name: 'two offline',
        offline: [3, 4],
        spread: '0 5 2 6 1 7',
        pack: '0 1 2 6 7 5',
        drivers: ['0 of 0: io 0, task 1, hybrid 2', '1 of 1: hybrid 5, io 6, task 7'],
      },
    ],
  },
  {
    name: 'two sockets of two nodes',
    options: [
      '--cpus',
      '8,sockets=2,cores=4,threads=1',
      '--numa',
      '0-1:512;2-3:512;4-5:512;6-7:512',
      '--dist',
      '0,1,12;2,3,12;0,2,32;0,3,32;1,2,32;1,3,32',
    ],
    situations: [
      {
        name: 'as it is',
        spread: '0 4 2 6 1 5 3 7',
        pack: '0 1 2 3 4 5 6 7',
        drivers: [
          '0 of 0: hybrid 0, hybrid 1',
          '1 of 1: hybrid 2, hybrid 3',
          '2 of 2: hybrid 4, hybrid 5',
          '3 of 3: hybrid 6, hybrid 7',
        ],
      },
    ],
  },
  {
    name: 'a node without memory, and one without processors',
    options: [
      '--cpus',
      '6,sockets=3,cores=2,threads=1',
      '--numa',
      '0-1:1024;2-3:0;4-5:1024;:512',
      '--dist',
      '0,1,30;0,2,20;1,2,14;0,3,40;1,3,40;2,3,40',
    ],
    situations: [
      {
        name: 'as it is',
        spread: '0 2 4 1 3 5',
        pack: '0 1 4 5 2 3',
        drivers: [
          '0 of 0: hybrid 0, hybrid 1',
          '1 of 2: hybrid 2, hybrid 3',
          '2 of 2: hybrid 4, hybrid 5',
        ],
      },
    ],
  },
]
