// Kernel and libc interfaces that Swift's Glibc overlay does not carry.
#ifndef INVAR_CLINUX_H
#define INVAR_CLINUX_H
#include <malloc.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/utsname.h>

/// Names the calling thread (cut to 15 bytes), as shown by `top -H`.
void invar_set_thread_name(const char *name);
#endif
