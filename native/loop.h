/* One hooked event loop, as its hook and its descriptors know it. */
#ifndef PERCORE_LOOP_H
#define PERCORE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "control.h"
#include "napi.h"
#include "queues.h"
#include "uv-abi.h"

enum { RINGS_MAX = 3 };

struct link;

struct loop {
  napi_env env;
  uv_loop_t *uv;
  uv_handle_t *prepare, *check, *idle, *waker;
  napi_ref turn, receiver;
  napi_async_cleanup_hook_handle cleanup;
  volatile int32_t *words; /* the control block, in its slot of the directory */
  volatile double *doubles;
  double left[CONTROL_BYTES / 8]; /* what stands for it once the slot may be another's */
  struct ring rings[RINGS_MAX];
  int ring_count;
  struct ring *park; /* the one to park in; NULL before there is one */
  int open_handles;
  bool closing;
  double uv_updated_ns;
  double left_ns; /* when the hook was left, and as what; 0 before that */
  int left_as;
  int32_t cpu;      /* the only one that the thread may run on, or -1 */
  bool is_asleep;   /* as the directory counts it */
  bool is_quiet;    /* whether the thread was woken by time alone */
  double quiet_ns;  /* since when nothing has come, and how many completions had by then */
  uint32_t quiet_completions;
  struct descriptors tracked; /* to close with the environment */
  struct arena *memory;       /* that requests may touch */
  /* Under the lock of places.h: what this loop has passed on, joined and lent, and what has come back of that. */
  struct link *passed, *joined, *lent, *returned;
};

/* The loop of a handle, or NULL: of a worker being terminated that got none, or one shut down. */
static inline struct loop *arg_loop(napi_env env, napi_value value) {
  void *data;
  if (napi_get_value_external(env, value, &data) != napi_ok) return NULL;
  struct loop *loop = data;
  return loop->closing ? NULL : loop;
}

#endif
