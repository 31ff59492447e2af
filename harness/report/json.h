/* What every JSON of ours is made with. */
#ifndef REPORT_JSON_H
#define REPORT_JSON_H

#include <jansson.h>

/* A string of any origin: what is not printable UTF-8 is escaped; NULL is null. */
json_t *json_text(const char *s);

/* Set a member, whose reference is taken over; ends the program when memory runs out. */
void json_put(json_t *object, const char *key, json_t *value);

#endif
