/*
 * The loop hook: our own rounds inside libuv's prepare phase.
 *
 * Each round asks at most once for the kernel's attention (submit and reap in one
 * io_uring_enter) and enters JavaScript once; nextTicks and microtasks drain as that call
 * returns. While nothing is to do the thread parks in the main ring, in which JavaScript has
 * armed a poll of libuv's own epoll descriptor, so that everything of Node keeps working.
 * What to do and for whom is decided in TypeScript; this file only knows when to ask.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "directory.h"
#include "loop.h"
#include "loans.h"
#include "spin.h"
#include "transit.h"
#include "waker.h"

static const double NS_PER_MS = 1e6;

static double now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void on_idle(uv_handle_t *handle) { (void)handle; }

/* The doorbell says what for. */
static void on_wake(uv_handle_t *handle) { (void)handle; }

static int init_waker(uv_loop_t *uv, uv_handle_t *handle) { return uv_async_init(uv, handle, on_wake); }

static bool any_completions(const struct loop *loop) {
  for (int i = 0; i < loop->ring_count; i++)
    if (has_completions(&loop->rings[i])) return true;
  return false;
}

/* Whether the thread may not sleep, for a device that it has to poll. */
static bool any_to_poll(const struct loop *loop) {
  for (int i = 0; i < loop->ring_count; i++)
    if (must_poll(&loop->rings[i])) return true;
  return false;
}

/* Whether another thread has left something for this one. */
static bool doorbell_rang(const struct loop *loop) {
  /* ORDER: sequential, as publishing that we sleep is: of this look and a sender's at that word one sees the other. */
  return __atomic_load_n(&loop->words[WORD_DOORBELL], __ATOMIC_SEQ_CST) != 0;
}

static bool has_work(const struct loop *loop, double now) {
  return loop->words[WORD_RUNNABLE] > 0 || now >= loop->doubles[DOUBLE_DEADLINE_NS] ||
         any_completions(loop) || doorbell_rang(loop);
}

static void enter(struct loop *loop, struct ring *ring, uint32_t wait_count, double timeout_ns) {
  long result = enter_ring(ring, wait_count, timeout_ns);
  /* The next round asks again. Anything else is for JavaScript to see. */
  if (!may_retry(result)) loop->words[WORD_ENTER_ERROR] = (int32_t)-result;
}

/* Submits what is waiting, and collects what only this thread can; nothing to do is no call. */
static bool enter_all(struct loop *loop) {
  bool entered = false;
  for (int i = 0; i < loop->ring_count; i++) {
    struct ring *ring = &loop->rings[i];
    if (!unsubmitted(ring) && !wants_enter(ring)) continue;
    enter(loop, ring, 0, -1);
    entered = true;
  }
  return entered;
}

/* Tells the directory that the thread sleeps, or does no more. */
static void set_asleep(struct loop *loop, bool is_asleep) {
  if (loop->is_asleep == is_asleep) return;
  loop->is_asleep = is_asleep;
  directory_count_awake(is_asleep ? -1 : 1, loop->cpu);
}

/*
 * The time of now, which whoever looks from outside takes for the last that was neither slept nor polled. It is -1 while
 * the clock is read: a reader whose own look at the clock came later would count more than this thread will.
 */
static double wake(struct loop *loop) {
  loop->doubles[DOUBLE_AWAKE_NS] = -1;
  double now = now_ns();
  loop->doubles[DOUBLE_AWAKE_NS] = now;
  return now;
}

/*
 * Busy-waits up to `limit_ns` for a completion or the doorbell, as long as it takes no other executor's CPU, or has to since
 * a device is to be polled; true if there is one. Writes the time then.
 */
static bool spin(struct loop *loop, double start_ns, double limit_ns, double *end_ns) {
  double now = start_ns;
  bool found = false;
  loop->doubles[DOUBLE_SPUN_NS] -= start_ns; /* below 0 meanwhile, so that others see it go on */
  while (!found && now - start_ns < limit_ns) {
    if (!any_to_poll(loop) && directory_is_crowded(loop->cpu)) {
      loop->doubles[DOUBLE_CROWDED] += 1;
      break;
    }
    for (int i = 0; i < 64 && !found; i++) {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
      for (int r = 0; r < loop->ring_count; r++)
        if (wants_enter(&loop->rings[r])) enter(loop, &loop->rings[r], 0, -1);
      found = any_completions(loop) || doorbell_rang(loop);
    }
    if (!found) now = now_ns();
  }
  *end_ns = wake(loop);
  loop->doubles[DOUBLE_SPUN_NS] += *end_ns;
  return found;
}

/*
 * Blocks until a completion, the doorbell, `uv_timeout_ms` or the executor's next deadline; returns the time
 * then. Another thread rings by a completion as well, once it has seen that this one sleeps.
 */
static double park(struct loop *loop, int uv_timeout_ms, double now) {
  double limit_ns = loop->doubles[DOUBLE_DEADLINE_NS] - now;
  if (uv_timeout_ms >= 0 && uv_timeout_ms * NS_PER_MS < limit_ns) limit_ns = uv_timeout_ms * NS_PER_MS;
  /* While a device is to be polled it does not park at all. */
  double spin_ns = any_to_poll(loop) ? limit_ns : spin_limit(loop, now);
  if (spin_ns > 0) {
    enter_all(loop);
    double start_ns = now;
    if (any_completions(loop)) return wake(loop);
    if (spin(loop, start_ns, spin_ns < limit_ns ? spin_ns : limit_ns, &now)) return now;
    limit_ns -= now - start_ns;
    if (limit_ns <= 0 || any_to_poll(loop)) return now;
  }
  for (int i = 0; i < loop->ring_count; i++) {
    struct ring *ring = &loop->rings[i];
    if (ring == loop->park || !unsubmitted(ring)) continue;
    enter(loop, ring, 0, -1);
    if (unsubmitted(ring)) return wake(loop); /* refused for now: ask again, do not sleep */
  }
  if (any_completions(loop)) return wake(loop);
  /* ORDER: sequential. Published first, looked once more then: a sender does both the other way round. */
  __atomic_store_n(&loop->words[WORD_SLEEPING], SLEEP_PARKED, __ATOMIC_SEQ_CST);
  if (!doorbell_rang(loop)) {
    loop->doubles[DOUBLE_PARKS] += 1;
    set_asleep(loop, true);
    loop->doubles[DOUBLE_PARKED_NS] -= now; /* as in spin() */
    enter(loop, loop->park, 1, limit_ns < 1e18 ? limit_ns : -1);
    now = wake(loop);
    loop->doubles[DOUBLE_PARKED_NS] += now;
    set_asleep(loop, false);
  }
  __atomic_store_n(&loop->words[WORD_SLEEPING], SLEEP_NO, __ATOMIC_RELEASE);
  return now;
}

/* Entries written that have not had their last completion reaped. */
static int32_t in_flight(const struct loop *loop, int index) {
  const struct ring *ring = &loop->rings[index];
  return (int32_t)(*ring->sq_tail - *ring->cq_head + (uint32_t)loop->words[WORD_MORE + index] +
                   (uint32_t)loop->words[WORD_FOREIGN + index]);
}

static void sync_reference(struct loop *loop) {
  bool wanted = loop->words[WORD_LIVE] > 0 || loop->words[WORD_RUNNABLE] > 0;
  for (int i = 0; i < loop->ring_count; i++)
    wanted = wanted || in_flight(loop, i) > loop->words[WORD_BACKGROUND + i];
  if (wanted == (loop->words[WORD_REFERENCED] != 0)) return;
  loop->words[WORD_REFERENCED] = wanted;
  if (wanted) uv_ref(loop->prepare);
  else uv_unref(loop->prepare);
}

/* Enters JavaScript once. False when it can't run any more, or has thrown: leave the loop then. */
static bool call_turn(struct loop *loop, napi_value receiver, napi_value turn) {
  napi_env env = loop->env;
  napi_handle_scope scope;
  OK(napi_open_handle_scope(env, &scope));
  loop->doubles[DOUBLE_TURNS] += 1;
  loop->words[WORD_TURN_SEQUENCE]++;
  napi_status status = napi_make_callback(env, NULL, receiver, turn, 0, NULL, NULL);
  loop->words[WORD_TURN_SEQUENCE]++;
  if (status == napi_pending_exception) {
    napi_value error;
    if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
  }
  napi_close_handle_scope(env, scope);
  return status == napi_ok;
}

/* Adds up what libuv, and Node with it, have taken since the hook was left. */
static void count_visit(struct loop *loop, double now) {
  if (loop->left_ns == 0) return;
  int index = loop->left_as == LEAVE_CONTESTED ? DOUBLE_HOST_CONTESTED_NS : DOUBLE_HOST_ALONE_NS;
  loop->doubles[index] += now - loop->left_ns;
  loop->doubles[DOUBLE_HOST_VISITS] += 1;
}

/* Rounds until libuv is to have the thread; returns when and as what it gets it. */
static double run_rounds(struct loop *loop, napi_value receiver, napi_value turn, double now) {
  loop->left_as = LEAVE_ALONE;
  while (!loop->closing) {
    sync_reference(loop);
    /* Node's timers go by libuv's cached time, in milliseconds. */
    if (now - loop->uv_updated_ns >= NS_PER_MS) {
      loop->uv_updated_ns = now;
      uv_update_time(loop->uv);
    }
    int uv_timeout_ms = uv_backend_timeout(loop->uv);
    bool is_host_ready = uv_timeout_ms == 0 || loop->words[WORD_HOST_READY];
    bool work = has_work(loop, now);
    /* A thread about to park submits with the very call that it parks in. */
    if (work || is_host_ready || !loop->words[WORD_ARMED]) {
      if (enter_all(loop)) now = wake(loop); /* what the kernel did here is no task queue's time */
      work = has_work(loop, now);
    }
    if (!work) {
      if (is_host_ready) break; /* nobody else wants the thread: no need to ask */
      /* Without the poll of libuv's descriptor its events would not wake us: let it be armed. */
      if (loop->words[WORD_ARMED]) {
        now = park(loop, uv_timeout_ms, now);
        loop->is_quiet = !any_completions(loop) && !doorbell_rang(loop);
        bool woken = now >= loop->doubles[DOUBLE_DEADLINE_NS] || !loop->is_quiet ||
                     loop->words[WORD_ENTER_ERROR]; /* or we would ask, and be refused, for ever */
        if (!woken) {
          loop->uv_updated_ns = 0; /* a timer of libuv's may be due: look again */
          continue;
        }
      }
    }
    if (is_host_ready) loop->words[WORD_HOST_READY] = 1; /* the turn decides whose it is */
    loop->doubles[DOUBLE_NOW_NS] = now;
    bool is_callable = call_turn(loop, receiver, turn);
    now = now_ns();
    loop->doubles[DOUBLE_TURN_END_NS] = now; /* also of a turn that threw: it is charged by this */
    if (!is_callable) break;
    if (loop->words[WORD_LEAVE]) {
      loop->left_as = loop->words[WORD_LEAVE];
      break;
    }
  }
  loop->words[WORD_LEAVE] = 0;
  loop->words[WORD_HOST_READY] = 0;
  return now;
}

static void on_prepare(uv_handle_t *handle) {
  struct loop *loop = uv_handle_get_data(handle);
  napi_handle_scope scope;
  OK(napi_open_handle_scope(loop->env, &scope));
  napi_value turn, receiver;
  OK(napi_get_reference_value(loop->env, loop->turn, &turn));
  OK(napi_get_reference_value(loop->env, loop->receiver, &receiver));
  double now = wake(loop);
  count_visit(loop, now);
  loop->doubles[DOUBLE_LEFT_NS] = 0;
  loop->left_ns = run_rounds(loop, receiver, turn, now);
  loop->doubles[DOUBLE_LEFT_NS] = loop->left_ns;
  OK(napi_close_handle_scope(loop->env, scope));
  if (!loop->closing) uv_idle_start(loop->idle, on_idle); /* libuv's own poll must not block */
}

static void on_check(uv_handle_t *handle) {
  struct loop *loop = uv_handle_get_data(handle);
  uv_idle_stop(loop->idle); /* an active idle handle makes uv_backend_timeout() 0 */
}

static void on_closed(uv_handle_t *handle) {
  struct loop *loop = uv_handle_get_data(handle);
  free(handle);
  if (--loop->open_handles > 0) return;
  napi_async_cleanup_hook_handle cleanup = loop->cleanup;
  free(loop);
  napi_remove_async_cleanup_hook(cleanup);
}

static void shut_down(struct loop *loop) {
  if (loop->closing) return;
  loop->closing = true;
  volatile int32_t *slot = loop->words;
  waker_set((uint32_t)slot[WORD_HOLDER] % SLOT_COUNT, NULL);
  directory_end(slot);
  set_asleep(loop, true);
  bool is_left = false;
  for (int i = 0; i < loop->ring_count; i++) {
    struct ring *ring = &loop->rings[i];
    int32_t outstanding = in_flight(loop, i) - (int32_t)unsubmitted(ring);
    if (quiesce(ring, outstanding, loop->words[WORD_CLOSING + i], &loop->tracked) > 0) is_left = true;
  }
  /* A request that is left may write at any time: its memory is never given back, whoever else lets go. */
  if (!is_left) arena_release_all(&loop->memory);
  transit_end(loop);
  loans_end(loop);
  descriptors_close(&loop->tracked);
  directory_tell(slot, loop->park);
  for (int i = 0; i < loop->ring_count; i++) close_ring(&loop->rings[i]);
  loop->ring_count = 0;
  loop->park = NULL;
  /* The hook may be left by the very turn that it calls, and counts on. */
  memcpy(loop->left, (const void *)slot, CONTROL_BYTES);
  loop->words = (volatile int32_t *)loop->left;
  loop->doubles = loop->left;
  directory_free(slot);
  uv_prepare_stop(loop->prepare);
  uv_check_stop(loop->check);
  uv_idle_stop(loop->idle);
  uv_close(loop->prepare, on_closed);
  uv_close(loop->check, on_closed);
  uv_close(loop->idle, on_closed);
  uv_close(loop->waker, on_closed);
}

/* Without this every Node crashes at exit and at worker.terminate() with handles still open. */
static void on_cleanup(napi_async_cleanup_hook_handle handle, void *data) {
  (void)handle;
  shut_down(data);
}

static uv_handle_t *new_handle(struct loop *loop, int type, int (*init)(uv_loop_t *, uv_handle_t *)) {
  uv_handle_t *handle = calloc(1, uv_handle_size(type));
  if (!handle) abort();
  init(loop->uv, handle);
  uv_handle_set_data(handle, loop);
  uv_unref(handle);
  loop->open_handles++;
  return handle;
}

/**
 * loopAttach(turn: () => void): External | number
 *
 * Hooks this environment's event loop; `turn` is called once per round. The loop has a slot of the
 * directory, and keeps the environment alive only while the control block there says that something is
 * live or runnable. Or -errno, -ENOSPC where no slot is free.
 */
static napi_value loop_attach(napi_env env, napi_callback_info info) {
  ARGS(1);
  struct loop *loop = calloc(1, sizeof *loop);
  if (!loop) abort();
  napi_value handle;
  if (napi_create_external(env, loop, NULL, NULL, &handle) != napi_ok) { /* being terminated */
    free(loop);
    return NULL;
  }
  int32_t slot = directory_claim(KIND_EXECUTOR);
  if (slot < 0) {
    free(loop);
    return result_i32(env, slot);
  }
  loop->env = env;
  loop->cpu = directory_add_cpus();
  directory_count_awake(1, loop->cpu);
  OK(napi_get_uv_event_loop(env, (struct uv_loop_s **)&loop->uv));
  loop->words = directory_slot((uint32_t)slot);
  loop->doubles = (volatile double *)loop->words;
  loop->doubles[DOUBLE_START_NS] = loop->doubles[DOUBLE_LEFT_NS] = wake(loop);
  OK(napi_create_reference(env, argv[0], 1, &loop->turn));
  napi_value receiver;
  OK(napi_create_object(env, &receiver));
  OK(napi_create_reference(env, receiver, 1, &loop->receiver));
  loop->prepare = new_handle(loop, UV_PREPARE, uv_prepare_init);
  loop->check = new_handle(loop, UV_CHECK, uv_check_init);
  loop->idle = new_handle(loop, UV_IDLE, uv_idle_init);
  loop->waker = new_handle(loop, UV_ASYNC, init_waker);
  waker_set((uint32_t)slot, loop->waker);
  uv_prepare_start(loop->prepare, on_prepare);
  uv_check_start(loop->check, on_check);
  OK(napi_add_async_cleanup_hook(env, on_cleanup, loop, &loop->cleanup));
  return handle;
}

/*
 * submit(): number | undefined — what loopAddRing returns: enters its ring, without waiting.
 *
 * No arguments to read, and no result to make, since it runs within turns; -errno where it failed. Not
 * to be called once the loop is detached.
 */
static napi_value submit_ring(napi_env env, napi_callback_info info) {
  void *ring;
  OK(napi_get_cb_info(env, info, NULL, NULL, NULL, &ring));
  long result = enter_ring(ring, 0, -1);
  return result < 0 ? result_i32(env, (int32_t)result) : NULL;
}

/**
 * loopAddRing(loop, description: Int32Array): (() => number | undefined) | number
 *
 * Lets the loop submit to, wait for and, at the end, close a ring. `description` holds: the
 * descriptor, the one to enter with, enter flags, wait flags, then word indexes into the ring's
 * memory of SQ head, SQ tail, SQ flags, CQ head, CQ tail, CQ mask (its value) and the first CQE, the
 * length of that memory in bytes, the count of submission entries, and the ring's role. Each role has one ring
 * at most; the one to park in is the first. Returns a function that submits what waits in the ring, or -errno.
 */
static napi_value loop_add_ring(napi_env env, napi_callback_info info) {
  ARGS(2);
  struct loop *loop = arg_loop(env, argv[0]);
  const int32_t *description = arg_view(env, argv[1], NULL);
  if (!loop) return result_i32(env, -ECANCELED);
  if (loop->ring_count == RINGS_MAX) return result_i32(env, -ENOSPC);
  struct ring *ring = &loop->rings[loop->ring_count];
  int status = open_ring(ring, description);
  if (status < 0) return result_i32(env, status);
  napi_value submit;
  if (napi_create_function(env, "submit", NAPI_AUTO_LENGTH, submit_ring, ring, &submit) != napi_ok) {
    unmap_ring(ring); /* being terminated */
    return NULL;
  }
  ring->enters = &loop->doubles[DOUBLE_ENTERS];
  if (ring->role == ROLE_PARK) loop->park = ring;
  loop->ring_count++;
  descriptors_set(&loop->tracked, (uint32_t)ring->close_fd, false); /* it is closed with the ring */
  return submit;
}

/** loopKeepMemory(loop, memory): void — memory for requests, kept for good if some outlive the loop. */
static napi_value loop_keep_memory(napi_env env, napi_callback_info info) {
  ARGS(2);
  struct loop *loop = arg_loop(env, argv[0]);
  if (loop) arena_keep(&loop->memory, arg_arena(env, argv[1]));
  return NULL;
}

/** loopReference(loop): void — keeps the environment alive from now until nothing is live. */
static napi_value loop_reference(napi_env env, napi_callback_info info) {
  ARGS(1);
  struct loop *loop = arg_loop(env, argv[0]);
  if (loop) sync_reference(loop);
  return NULL;
}

/** loopDetach(loop): void — cancels what is in flight, closes the rings and unhooks the loop. */
static napi_value loop_detach(napi_env env, napi_callback_info info) {
  ARGS(1);
  struct loop *loop = arg_loop(env, argv[0]);
  if (!loop) return NULL;
  shut_down(loop);
  OK(napi_delete_reference(env, loop->turn));
  OK(napi_delete_reference(env, loop->receiver));
  return NULL;
}

/** loopSlot(loop): number — its slot of the directory; 0 if it has none any more. */
static napi_value loop_slot(napi_env env, napi_callback_info info) {
  ARGS(1);
  struct loop *loop = arg_loop(env, argv[0]);
  return result_i32(env, loop ? loop->words[WORD_HOLDER] % SLOT_COUNT : 0);
}

/** loopHostFd(loop): number — libuv's epoll descriptor. */
static napi_value loop_host_fd(napi_env env, napi_callback_info info) {
  ARGS(1);
  struct loop *loop = arg_loop(env, argv[0]);
  return result_i32(env, loop ? uv_backend_fd(loop->uv) : -1);
}

/** loopHostIsDue(loop): number — 1 if libuv has timers, immediates or closings to run now. */
static napi_value loop_host_is_due(napi_env env, napi_callback_info info) {
  ARGS(1);
  struct loop *loop = arg_loop(env, argv[0]);
  if (!loop) return result_i32(env, 0);
  uv_update_time(loop->uv);
  return result_i32(env, uv_backend_timeout(loop->uv) == 0);
}

/** controlLayout(): object — every field of the control block with its index, and the block's length. */
static napi_value control_layout(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value layout;
  OK(napi_create_object(env, &layout));
#define SHOW_FIELD(name, index) \
  OK(napi_set_named_property(env, layout, #name, result_i32(env, index)));
  CONTROL_WORDS(SHOW_FIELD)
  CONTROL_DOUBLES(SHOW_FIELD)
  SHOW_FIELD(CONTROL_BYTES, CONTROL_BYTES)
#undef SHOW_FIELD
  return layout;
}

const struct export loop_exports[] = {
    {"controlLayout", control_layout},
    {"loopAttach", loop_attach},
    {"loopAddRing", loop_add_ring},
    {"loopKeepMemory", loop_keep_memory},
    {"loopReference", loop_reference},
    {"loopDetach", loop_detach},
    {"loopSlot", loop_slot},
    {"loopHostFd", loop_host_fd},
    {"loopHostIsDue", loop_host_is_due},
    {NULL, NULL},
};
