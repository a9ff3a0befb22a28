/* The table of what the native layer exports. */
#include "napi.h"

static void define(napi_env env, napi_value exports, const struct export *table) {
  for (; table->name; table++) {
    napi_value function;
    /* A worker may be terminated at any moment: nobody will call what is missing then. */
    if (napi_create_function(env, table->name, NAPI_AUTO_LENGTH, table->function, NULL, &function) !=
            napi_ok ||
        napi_set_named_property(env, exports, table->name, function) != napi_ok)
      return;
  }
}

__attribute__((visibility("default"))) NAPI_MODULE_INIT() {
  define(env, exports, ring_exports);
  define(env, exports, memory_exports);
  define(env, exports, share_exports);
  define(env, exports, socket_exports);
  define(env, exports, system_exports);
  define(env, exports, placement_exports);
  define(env, exports, directory_exports);
  define(env, exports, waker_exports);
  define(env, exports, loop_exports);
  define(env, exports, loop_descriptor_exports);
  define(env, exports, transit_exports);
  define(env, exports, loan_exports);
  define(env, exports, aside_exports);
  return exports;
}
