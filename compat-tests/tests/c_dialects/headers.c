/* The headers before lua.h, and the interface once more after it. */

#include "darksidesync_aux.h"

#ifdef __cplusplus
extern "C" {
#endif
#include "lua.h"
#ifdef __cplusplus
} /* extern "C" */
#endif

#include "darksidesync_api.h"

int headers(lua_State *L);
int headers(lua_State *L) {
  const dss_api_1v0_t *api = DSS_getapi(L, 0);
  return api != 0 && api->version != 0 ? DSS_SUCCESS : DSS_ERR_NO_GLOBALS;
}
