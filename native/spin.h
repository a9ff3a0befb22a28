/* How long a thread polls before it parks. */
#ifndef PERCORE_SPIN_H
#define PERCORE_SPIN_H

#include "loop.h"

/* Completions that the kernel, or another thread, has posted so far. */
static inline uint32_t count_completions(const struct loop *loop) {
  uint32_t count = 0;
  for (int i = 0; i < loop->ring_count; i++) count += posted_completions(&loop->rings[i]);
  return count;
}

/*
 * How long to spin now. Until it is quiet: what only time has brought, such as a timer's turn, gives no reason to expect more.
 */
static inline double spin_limit(struct loop *loop, double now) {
  double quiet_limit_ns = loop->doubles[DOUBLE_QUIET_NS];
  if (quiet_limit_ns == 0) return loop->doubles[DOUBLE_SPIN_NS];
  uint32_t count = count_completions(loop);
  if (!loop->is_quiet || count != loop->quiet_completions) loop->quiet_ns = now;
  loop->quiet_completions = count;
  double left_ns = quiet_limit_ns - (now - loop->quiet_ns);
  return left_ns > 0 ? left_ns : 0;
}

#endif
