// Kernel and libc interfaces that Swift's Glibc overlay does not carry.
#ifndef INVAR_CLINUX_H
#define INVAR_CLINUX_H
#include <malloc.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#endif
