/* What users see of an arena: parts of it, each through an ArrayBuffer of its own. */
#ifndef PERCORE_SHARE_H
#define PERCORE_SHARE_H

#include <stdbool.h>

#include "arena.h"

/* One ArrayBuffer, from memoryShare() until the memory that it showed is freed, whoever has it then. */
struct share {
  struct share *next; /* of those that begin at the same unit */
  struct arena *arena;
  size_t offset;
  size_t length;
  napi_ref buffer;   /* weak */
  napi_ref sentinel; /* an ArrayBuffer that was made after it: see share.c */
  bool is_taken;     /* its holder may be there when the environment is not */
  bool is_dropped;
  bool is_sentinel_freed;
};

/* An ArrayBuffer on a part of it, which begins at a multiple of UNIT_BYTES; or -errno, as a number; NULL while being terminated. */
napi_value share_part(napi_env env, struct arena *arena, size_t offset, size_t length);

#endif
