/*
 * Latencies in logarithmic buckets with 128 linear steps each: an error below 0.8 % at any size,
 * constant memory, and O(1) to record, so that recording does not disturb what is measured.
 */
#ifndef PERCORE_PEERS_HISTOGRAM_H
#define PERCORE_PEERS_HISTOGRAM_H

#include <stdint.h>

enum { STEP_BITS = 7, STEPS = 1 << STEP_BITS, OCTAVES = 64 - STEP_BITS };

struct histogram {
  uint64_t total;
  uint64_t counts[(OCTAVES + 1) * STEPS];
};

static inline void histogram_record(struct histogram *histogram, uint64_t value) {
  int shift = value < STEPS ? 0 : 64 - STEP_BITS - __builtin_clzll(value);
  histogram->counts[(uint64_t)shift * STEPS + (value >> shift)]++;
  histogram->total++;
}

/* The middle of the bucket in which the quantile lies. */
static inline double histogram_quantile(const struct histogram *histogram, double quantile) {
  uint64_t rank = (uint64_t)((double)histogram->total * quantile);
  uint64_t seen = 0;
  for (uint64_t index = 0; index < (OCTAVES + 1) * STEPS; index++) {
    seen += histogram->counts[index];
    if (seen > rank) {
      uint64_t shift = index / STEPS;
      return ((double)(index % STEPS) + 0.5) * (double)(1ULL << shift);
    }
  }
  return 0;
}

#endif
