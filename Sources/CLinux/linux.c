#define _GNU_SOURCE
#include "CLinux.h"

#include <pthread.h>
#include <string.h>

void invar_set_thread_name(const char *name) {
    char cut[16];
    strncpy(cut, name, sizeof cut - 1);
    cut[sizeof cut - 1] = '\0';
    pthread_setname_np(pthread_self(), cut);
}

#if defined(__x86_64__)
#include <nmmintrin.h>

int invar_has_crc32c(void) { return __builtin_cpu_supports("sse4.2"); }

__attribute__((target("sse4.2")))
uint32_t invar_crc32c(uint32_t value, const void *bytes, size_t count) {
    const unsigned char *at = bytes;
    uint64_t state = value;
    for (; count >= 8; count -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        state = _mm_crc32_u64(state, word);
    }
    for (; count > 0; count--, at++) state = _mm_crc32_u8((uint32_t)state, *at);
    return (uint32_t)state;
}
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>

#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif

int invar_has_crc32c(void) { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }

__attribute__((target("crc")))
uint32_t invar_crc32c(uint32_t value, const void *bytes, size_t count) {
    const unsigned char *at = bytes;
    for (; count >= 8; count -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        value = __crc32cd(value, word);
    }
    for (; count > 0; count--, at++) value = __crc32cb(value, *at);
    return value;
}
#else
int invar_has_crc32c(void) { return 0; }

uint32_t invar_crc32c(uint32_t value, const void *bytes, size_t count) {
    (void)bytes;
    (void)count;
    return value;
}
#endif
