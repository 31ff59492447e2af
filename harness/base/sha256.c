/* SHA-256 as text; see sha256.h. */
#include "base/sha256.h"

#include <nettle/base16.h>
#include <nettle/sha2.h>

void sha256_hex(const void *data, size_t len, char out[SHA256_HEX_BYTES])
{
	unsigned char digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx hash;

	sha256_init(&hash);
	sha256_update(&hash, len, data);
	sha256_digest(&hash, sizeof(digest), digest);
	base16_encode_update(out, sizeof(digest), digest);
	out[2 * sizeof(digest)] = '\0';
}
