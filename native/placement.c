/* Where a thread runs, and on which NUMA node its memory lies. */
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "napi.h"

/* Bits of a mask of nodes, and one more: the kernel reads one less than it is told. */
static unsigned long node_limit(size_t length_bytes) {
  return length_bytes * 8 + 1;
}

/** threadId(): number — gettid(2). */
static napi_value thread_id(napi_env env, napi_callback_info info) {
  (void)info;
  return result_i32(env, syscall(SYS_gettid));
}

/**
 * threadAffinity(threadId, mask: Uint8Array): number
 *
 * sched_getaffinity(2), of the calling thread for 0. Returns the bytes written, or -errno; -EINVAL for
 * a mask that is shorter than the kernel's, or not of whole words.
 */
static napi_value thread_affinity(napi_env env, napi_callback_info info) {
  ARGS(2);
  size_t length;
  void *mask = arg_view(env, argv[1], &length);
  return result_syscall(env, syscall(SYS_sched_getaffinity, arg_i32(env, argv[0]), length, mask));
}

/** threadSetAffinity(threadId, mask: Uint8Array): number — sched_setaffinity(2); 0 or -errno. */
static napi_value thread_set_affinity(napi_env env, napi_callback_info info) {
  ARGS(2);
  size_t length;
  void *mask = arg_view(env, argv[1], &length);
  return result_syscall(env, syscall(SYS_sched_setaffinity, arg_i32(env, argv[0]), length, mask));
}

/**
 * memoryPolicy(nodes: Uint8Array): number
 *
 * get_mempolicy(2) of the calling thread: writes its nodes, and returns MPOL_… and its flags, or -errno.
 */
static napi_value memory_policy(napi_env env, napi_callback_info info) {
  ARGS(1);
  size_t length;
  void *nodes = arg_view(env, argv[0], &length);
  int mode = 0;
  long result = syscall(SYS_get_mempolicy, &mode, nodes, node_limit(length), NULL, 0);
  return result_syscall(env, result < 0 ? result : mode);
}

/** memorySetPolicy(mode, nodes: Uint8Array): number — set_mempolicy(2) of the calling thread; 0 or -errno. */
static napi_value memory_set_policy(napi_env env, napi_callback_info info) {
  ARGS(2);
  size_t length;
  void *nodes = arg_view(env, argv[1], &length);
  return result_syscall(env, syscall(SYS_set_mempolicy, arg_i32(env, argv[0]), nodes, node_limit(length)));
}

/**
 * memoryNodes(addresses: Float64Array, nodes: Int32Array): number
 *
 * move_pages(2) of this process that moves nothing: writes the node of the page at each address, or
 * -errno for a page that is not there. Returns 0 or -errno.
 */
static napi_value memory_nodes(napi_env env, napi_callback_info info) {
  ARGS(2);
  size_t length;
  const double *addresses = arg_view(env, argv[0], &length);
  int *nodes = arg_view(env, argv[1], NULL);
  size_t count = length / sizeof *addresses;
  void **pages = malloc(count * sizeof *pages);
  if (!pages) return result_i32(env, -ENOMEM);
  for (size_t index = 0; index < count; index++) pages[index] = (void *)(uintptr_t)addresses[index];
  napi_value result = result_syscall(env, syscall(SYS_move_pages, 0, count, pages, NULL, nodes, 0));
  free(pages);
  return result;
}

const struct export placement_exports[] = {
    {"threadId", thread_id},
    {"threadAffinity", thread_affinity},
    {"threadSetAffinity", thread_set_affinity},
    {"memoryPolicy", memory_policy},
    {"memorySetPolicy", memory_set_policy},
    {"memoryNodes", memory_nodes},
    {NULL, NULL},
};
