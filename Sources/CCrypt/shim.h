#include <crypt.h>
enum { INVAR_CRYPT_DATA_SIZE = sizeof(struct crypt_data) };
