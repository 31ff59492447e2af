/* The host's time stamp counter. */
#ifndef VM_TSC_H
#define VM_TSC_H

/*
 * Its frequency in kHz, measured in a few milliseconds against CLOCK_MONOTONIC_RAW and rounded to a
 * whole MHz; 0 where there is none, or no clock that is fine enough. A guest of QEMU's TCG reads
 * this counter as its own (QEMU, include/qemu/timer.h, cpu_get_host_ticks()).
 */
unsigned tsc_khz(void);

#endif
