/* Memory for the kernel and JavaScript both: where it is, and who may still use it. */
#include "arena.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

/* ABI: the smallest piece that an arena is cut into, shared with src/memory/arena.ts. */
enum { UNIT_BYTES = 512 };

void arena_retain(struct arena *arena) {
  /* ORDER: relaxed, since whoever retains holds a reference already. */
  __atomic_fetch_add(&arena->references, 1, __ATOMIC_RELAXED);
}

void arena_release(struct arena *arena) {
  /* ORDER: the last release comes after all uses of the others, whatever threads they were on. */
  if (__atomic_sub_fetch(&arena->references, 1, __ATOMIC_ACQ_REL) > 0) return;
  munmap(arena->base, arena->length);
  free(arena->share_counts);
  free(arena);
}

void arena_keep(struct arena **list, struct arena *arena) {
  if (!arena) return;
  arena_retain(arena);
  arena->next = *list;
  *list = arena;
}

void arena_release_all(struct arena **list) {
  while (*list) {
    struct arena *arena = *list;
    *list = arena->next;
    arena_release(arena);
  }
}

struct arena *arg_arena(napi_env env, napi_value value) {
  void *data;
  return napi_get_value_external(env, value, &data) == napi_ok ? data : NULL;
}

/* mmap(2) at a multiple of `alignment`, which pages are too small for. */
static void *map_aligned(size_t length, size_t alignment) {
  char *mapping = mmap(NULL, length + alignment, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return NULL;
  size_t before = (alignment - (uintptr_t)mapping % alignment) % alignment;
  if (before > 0) munmap(mapping, before);
  munmap(mapping + before + length, alignment - before);
  return mapping + before;
}

static void drop_handle(napi_env env, void *data, void *hint) {
  (void)env, (void)hint;
  arena_release(data);
}

static void drop_whole(napi_env env, void *data, void *hint) {
  (void)env, (void)data;
  arena_release(hint);
}

static void drop_share(napi_env env, void *data, void *hint) {
  (void)env;
  struct arena *arena = hint;
  arena->share_counts[((char *)data - arena->base) / UNIT_BYTES]--;
  arena_release(arena);
}

/* An ArrayBuffer that keeps the arena; false where this host takes no memory but V8's own. */
static bool wrap(napi_env env, struct arena *arena, size_t offset, size_t length,
                 napi_finalize drop, napi_value *buffer) {
  *buffer = NULL;
  arena_retain(arena);
  napi_status status =
      napi_create_external_arraybuffer(env, arena->base + offset, length, drop, arena, buffer);
  if (status != napi_no_external_buffers_allowed) return true; /* half made, if being terminated */
  arena_release(arena);
  return false;
}

/**
 * memoryMap(lengthBytes: number, alignmentBytes: number): External | number
 *
 * mmap(2) of zeroed memory that takes room as it is touched; both are multiples of a page. It stays
 * while the handle, an ArrayBuffer on a part of it or a loop that keeps it is there. Or -errno.
 */
static napi_value memory_map(napi_env env, napi_callback_info info) {
  ARGS(2);
  struct arena *arena = calloc(1, sizeof *arena);
  if (!arena) abort();
  arena->references = 1;
  arena->length = (size_t)arg_f64(env, argv[0]);
  arena->share_counts = calloc(arena->length / UNIT_BYTES, sizeof *arena->share_counts);
  arena->base = arena->share_counts ? map_aligned(arena->length, (size_t)arg_f64(env, argv[1])) : NULL;
  if (!arena->base) {
    free(arena->share_counts);
    free(arena);
    return result_i32(env, -ENOMEM);
  }
  napi_value handle;
  if (napi_create_external(env, arena, drop_handle, NULL, &handle) == napi_ok) return handle;
  arena_release(arena); /* being terminated */
  return NULL;
}

/** memoryWhole(memory: External): ArrayBuffer | number — on all of it; or -errno. */
static napi_value memory_whole(napi_env env, napi_callback_info info) {
  ARGS(1);
  struct arena *arena = arg_arena(env, argv[0]);
  if (!arena) return NULL;
  napi_value buffer;
  if (wrap(env, arena, 0, arena->length, drop_whole, &buffer)) return buffer;
  return result_i32(env, -EOPNOTSUPP);
}

/**
 * memoryShare(memory: External, offset: number, lengthBytes: number): ArrayBuffer | number
 *
 * An ArrayBuffer on a part of it, which begins at a multiple of UNIT_BYTES; or -errno. Cloning it
 * copies that part alone.
 */
static napi_value memory_share(napi_env env, napi_callback_info info) {
  ARGS(3);
  struct arena *arena = arg_arena(env, argv[0]);
  if (!arena) return NULL;
  size_t offset = (size_t)arg_f64(env, argv[1]);
  napi_value buffer;
  arena->share_counts[offset / UNIT_BYTES]++;
  if (wrap(env, arena, offset, (size_t)arg_f64(env, argv[2]), drop_share, &buffer)) return buffer;
  arena->share_counts[offset / UNIT_BYTES]--;
  return result_i32(env, -EOPNOTSUPP);
}

/**
 * memoryShareCount(memory: External, offset: number): number
 *
 * How many ArrayBuffers made by memoryShare() there are that begin at `offset`, or that others have
 * got by transferring them. One is counted until it has been collected.
 */
static napi_value memory_share_count(napi_env env, napi_callback_info info) {
  ARGS(2);
  struct arena *arena = arg_arena(env, argv[0]);
  size_t offset = (size_t)arg_f64(env, argv[1]);
  return result_i32(env, arena ? arena->share_counts[offset / UNIT_BYTES] : 0);
}

/** memoryDetach(buffer: ArrayBuffer): void — leaves it, and all views on it, with a length of 0. */
static napi_value memory_detach(napi_env env, napi_callback_info info) {
  ARGS(1);
  napi_detach_arraybuffer(env, argv[0]); /* refused of one that was detached before */
  return NULL;
}

/**
 * memoryAddress(view: TypedArray): number
 *
 * The address of a view's first byte; exact, since addresses stay below 2^53 on Linux.
 */
static napi_value memory_address(napi_env env, napi_callback_info info) {
  ARGS(1);
  return result_f64(env, (double)(uintptr_t)arg_view(env, argv[0], NULL));
}

/**
 * memoryAdvise(view: TypedArray, advice: number): number
 *
 * madvise(2). Returns 0 or -errno.
 */
static napi_value memory_advise(napi_env env, napi_callback_info info) {
  ARGS(2);
  size_t length;
  void *data = arg_view(env, argv[0], &length);
  return result_syscall(env, madvise(data, length, arg_i32(env, argv[1])));
}

const struct export memory_exports[] = {
    {"memoryMap", memory_map},
    {"memoryWhole", memory_whole},
    {"memoryShare", memory_share},
    {"memoryShareCount", memory_share_count},
    {"memoryDetach", memory_detach},
    {"memoryAddress", memory_address},
    {"memoryAdvise", memory_advise},
    {NULL, NULL},
};
