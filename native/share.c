/*
 * Parts of arenas that users see, and what holds them when the environment ends.
 *
 * Whoever detaches an ArrayBuffer (`transfer()`, a byte stream) has its memory from then on, and may send
 * it to another thread. Node calls drop_share() when that memory is freed, wherever that is. But when the
 * environment ends, Node detaches what is still attached and calls drop_share() for all, as it could not
 * do so later; cleanup hooks run after that. Node begins with what was made last. So each share has a
 * sentinel, an ArrayBuffer that is made after its own and held as long: when that is dropped first, it can
 * still be seen what holds the memory. What others have then stays mapped for good, as nobody will tell when
 * they are done with it.
 */
#include "share.h"

#include <stdlib.h>

static struct share **first_at(struct arena *arena, size_t offset) {
  return &arena->shares[offset / UNIT_BYTES];
}

static void forget(struct share *share) {
  struct share **place = first_at(share->arena, share->offset);
  while (*place != share) place = &(*place)->next;
  *place = share->next;
  if (share->is_sentinel_freed) free(share);
}

/*
 * Sees whether somebody has detached the ArrayBuffer; nobody will any more, as JavaScript does not run. One
 * that was collected counts as detached: it was, or Node was just about to drop it.
 */
static void look_who_has(napi_env env, struct share *share) {
  napi_value buffer;
  share->is_taken = true;
  OK(napi_get_reference_value(env, share->buffer, &buffer));
  if (buffer) OK(napi_is_detached_arraybuffer(env, buffer, &share->is_taken));
}

static void drop_sentinel(napi_env env, void *data, void *hint) {
  (void)hint;
  struct share *share = data;
  share->is_sentinel_freed = true;
  if (share->is_dropped) free(share); /* the environment goes on: collected after its share */
  else if (share->buffer) look_who_has(env, share);
}

static void drop_share(napi_env env, void *data, void *hint) {
  (void)data;
  struct share *share = hint;
  struct arena *arena = share->arena;
  share->is_dropped = true;
  if (share->buffer) OK(napi_delete_reference(env, share->buffer));
  if (share->sentinel) OK(napi_delete_reference(env, share->sentinel));
  if (share->is_taken) arena->is_taken = true;
  else forget(share);
  arena_release(arena);
}

/* Node has dropped by now whatever it had made; if that was nothing, nobody else drops the share. */
static void drop_half_made(void *data) {
  struct share *share = data;
  if (!share->is_dropped) drop_share(NULL, NULL, share);
  free(share);
}

napi_value share_part(napi_env env, struct arena *arena, size_t offset, size_t length) {
  struct share *share = calloc(1, sizeof *share);
  if (!share) abort();
  share->arena = arena;
  share->offset = offset;
  share->length = length;
  struct share **place = first_at(arena, share->offset);
  share->next = *place;
  *place = share;
  arena_retain(arena);
  napi_value buffer = NULL;
  napi_status status = napi_create_external_arraybuffer(env, arena->base + share->offset,
                                                        share->length, drop_share, share, &buffer);
  if (status == napi_no_external_buffers_allowed) {
    share->is_sentinel_freed = true; /* there is none yet */
    forget(share);
    arena_release(arena);
    return result_i32(env, -EOPNOTSUPP);
  }
  if (status != napi_ok) { /* being terminated */
    OK(napi_add_env_cleanup_hook(env, drop_half_made, share));
    return NULL;
  }
  napi_value sentinel;
  status = napi_create_external_arraybuffer(env, share, 1, drop_sentinel, NULL, &sentinel);
  if (status != napi_ok) return NULL;
  OK(napi_create_reference(env, buffer, 0, &share->buffer));
  OK(napi_create_reference(env, sentinel, 1, &share->sentinel));
  return buffer;
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
  return share_part(env, arena, (size_t)arg_f64(env, argv[1]), (size_t)arg_f64(env, argv[2]));
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
  int32_t count = 0;
  if (arena)
    for (struct share *share = *first_at(arena, (size_t)arg_f64(env, argv[1])); share;
         share = share->next)
      count++;
  return result_i32(env, count);
}

/** memoryDetach(buffer: ArrayBuffer): void — leaves it, and all views on it, with a length of 0. */
static napi_value memory_detach(napi_env env, napi_callback_info info) {
  ARGS(1);
  napi_detach_arraybuffer(env, argv[0]); /* refused of one that was detached before */
  return NULL;
}

const struct export share_exports[] = {
    {"memoryShare", memory_share},
    {"memoryShareCount", memory_share_count},
    {"memoryDetach", memory_detach},
    {NULL, NULL},
};
