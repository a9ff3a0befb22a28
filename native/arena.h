/* Memory that the kernel may touch: it belongs to the process, and to no isolate. */
#ifndef PERCORE_ARENA_H
#define PERCORE_ARENA_H

#include <stdbool.h>

#include "napi.h"

/* ABI: the smallest piece that an arena is cut into, shared with src/memory/arena.ts. */
enum { UNIT_BYTES = 512 };

/*
 * One mapping, with counted references: the JavaScript object that stands for it, every ArrayBuffer on
 * a part of it, and the loop whose requests may touch it each hold one.
 */
struct arena {
  int32_t references;
  struct arena *next; /* of the list of the loop that keeps it: there is at most one */
  char *base;
  size_t length;
  struct share **shares; /* by unit: what users see that begins there */
  bool is_taken;         /* some of these are left, as others have their memory for good */
  struct arena *lender;  /* whose part this is, of which it stands for what was borrowed by the name `loan`; NULL for a mapping */
  double loan;
};

/* The arena of a handle, or NULL: of a worker being terminated that got none. */
struct arena *arg_arena(napi_env env, napi_value value);
void arena_retain(struct arena *arena);
void arena_release(struct arena *arena);

/* Adds a reference of a list's, unless there is no arena. */
void arena_keep(struct arena **list, struct arena *arena);
void arena_release_all(struct arena **list);

#endif
