/* Which build of the program this is, for what is remembered from one call to the next. */
#ifndef PROGRAM_H
#define PROGRAM_H

/* Text without spaces that another build does not have; the caller frees it. NULL: it cannot be
 * told. */
char *program_id(void);

#endif
