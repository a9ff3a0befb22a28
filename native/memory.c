/* Memory for the kernel and JavaScript both: where it is, and what may still use it. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "loans.h"
#include "share.h"

/* What is mapped until this process ends, as threads have left it to others. */
static size_t left_bytes;

void arena_retain(struct arena *arena) {
  /* ORDER: relaxed, since whoever retains holds a reference already. */
  __atomic_fetch_add(&arena->references, 1, __ATOMIC_RELAXED);
}

/* Unmaps all but the parts that others have taken, whose shares are the only ones left. */
static void unmap(struct arena *arena) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t unit_count = arena->is_taken ? arena->length / UNIT_BYTES : 0;
  size_t from = 0; /* what lies before is unmapped, or left */
  for (size_t unit = 0; unit < unit_count; unit++)
    for (struct share *share = arena->shares[unit], *next; share; share = next) {
      next = share->next;
      size_t start = share->offset - share->offset % page;
      size_t end = (share->offset + share->length + page - 1) / page * page;
      free(share);
      if (end <= from) continue;
      if (start < from) start = from;
      if (start > from) munmap(arena->base + from, start - from);
      /* ORDER: relaxed, since it is a number to look at. */
      __atomic_fetch_add(&left_bytes, end - start, __ATOMIC_RELAXED);
      from = end;
    }
  if (from < arena->length) munmap(arena->base + from, arena->length - from);
}

/* Gives a borrowed part back, unless others have it for good. */
static void end_part(struct arena *part) {
  if (part->is_taken) {
    /* ORDER: relaxed, since it is a number to look at. */
    __atomic_fetch_add(&left_bytes, part->length, __ATOMIC_RELAXED);
    free(part->shares[0]);
    return; /* and so the lender's mapping is never given up */
  }
  loan_over(part);
  arena_release(part->lender);
}

void arena_release(struct arena *arena) {
  /* ORDER: the last release comes after all uses of the others, whatever threads they were on. */
  if (__atomic_sub_fetch(&arena->references, 1, __ATOMIC_ACQ_REL) > 0) return;
  if (arena->lender) end_part(arena);
  else unmap(arena);
  free(arena->shares);
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
  arena->shares = calloc(arena->length / UNIT_BYTES, sizeof *arena->shares);
  arena->base = arena->shares ? map_aligned(arena->length, (size_t)arg_f64(env, argv[1])) : NULL;
  if (!arena->base) {
    free(arena->shares);
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
  napi_value buffer = NULL;
  arena_retain(arena);
  napi_status status = napi_create_external_arraybuffer(env, arena->base, arena->length, drop_whole,
                                                        arena, &buffer);
  if (status != napi_no_external_buffers_allowed) return buffer; /* half made, if being terminated */
  arena_release(arena);
  return result_i32(env, -EOPNOTSUPP);
}

/**
 * memoryLeftBytes(): number
 *
 * How much stays mapped until the process ends, since threads that have ended had left it to others.
 */
static napi_value memory_left_bytes(napi_env env, napi_callback_info info) {
  (void)info;
  return result_f64(env, (double)__atomic_load_n(&left_bytes, __ATOMIC_RELAXED));
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
    {"memoryLeftBytes", memory_left_bytes},
    {"memoryAddress", memory_address},
    {"memoryAdvise", memory_advise},
    {NULL, NULL},
};
