/* Progress and remarks, one line each on standard error, "kvmrepro: " before it. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level {
	LOG_QUIET,   /* errors only */
	LOG_NORMAL,  /* what was chosen and why, progress, warnings */
	LOG_VERBOSE, /* every step */
};

/* The only mutable global of the program; set once by the command, before threads start. */
extern enum log_level log_level;

/* Whole lines: callers in several threads do not mix. Control characters are escaped. */
void log_line(enum log_level at, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_line(LOG_QUIET, __VA_ARGS__)
#define log_info(...)    log_line(LOG_NORMAL, __VA_ARGS__)
#define log_verbose(...) log_line(LOG_VERBOSE, __VA_ARGS__)

#endif
