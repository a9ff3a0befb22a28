/* What another process has used of the processor. */
#ifndef PERCORE_PEERS_PROCESS_CPU_H
#define PERCORE_PEERS_PROCESS_CPU_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>

#include "net.h"

/* Sums what every thread ran, from schedstat: nanoseconds, where stat has ticks of 10 ms. */
static inline uint64_t read_process_cpu_ns(int pid) {
  char path[64 + 256];
  uint64_t sum = 0;
  snprintf(path, sizeof path, "/proc/%d/task", pid);
  DIR *directory = opendir(path);
  if (!directory) die("read the server's threads");
  for (struct dirent *entry; (entry = readdir(directory));) {
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, entry->d_name);
    FILE *file = fopen(path, "r");
    unsigned long long run_ns;
    if (!file) continue;
    if (fscanf(file, "%llu", &run_ns) == 1) sum += run_ns;
    fclose(file);
  }
  closedir(directory);
  return sum;
}

#endif
