/* JSON; see json.h. Strings from a guest may not be UTF-8. */
#include "report/json.h"

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

json_t *json_text(const char *s)
{
	cleanup_buf struct buf safe = BUF_INIT;

	if (!s)
		return json_null();
	buf_add_escaped(&safe, s, strlen(s));
	return json_stringn(safe.data, safe.len);
}

void json_put(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value))
		abort(); /* out of memory: jansson has no other failure for valid keys */
}
