// Kernel and libc interfaces that Swift's Glibc overlay does not carry.
#ifndef INVAR_CLINUX_H
#define INVAR_CLINUX_H
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/utsname.h>

/// Names the calling thread (cut to 15 bytes), as shown by `top -H`.
void invar_set_thread_name(const char *name);

/// Whether the processor has instructions for CRC32C.
int invar_has_crc32c(void);

/// CRC32C by those instructions, without the inversions before and after; only where there are any.
uint32_t invar_crc32c(uint32_t value, const void *bytes, size_t count);
#endif
