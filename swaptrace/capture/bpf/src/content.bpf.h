/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The content of a page: XXH64, salted if wanted, and the word that fills it.
 */
#pragma once

#define XXH_P1 11400714785074694791ULL
#define XXH_P2 14029467366897019727ULL
#define XXH_P3 1609587929392839161ULL
#define XXH_P4 9650029242287828579ULL
#define rotl(x, r) (((x) << (r)) | ((x) >> (64 - (r))))

static __always_inline u64 xxh_round(u64 lane, u64 word)
{
	lane += word * XXH_P2;
	return rotl(lane, 31) * XXH_P1;
}

static __always_inline u64 xxh_merge(u64 hash, u64 lane)
{
	return (hash ^ xxh_round(0, lane)) * XXH_P1 + XXH_P4;
}

#define sip_round(a, b, c, d)                                                                                          \
	do {                                                                                                           \
		a += b; b = rotl(b, 13); b ^= a; a = rotl(a, 32);                                                      \
		c += d; d = rotl(d, 16); d ^= c;                                                                       \
		a += d; d = rotl(d, 21); d ^= a;                                                                       \
		c += b; b = rotl(b, 17); b ^= c; c = rotl(c, 32);                                                      \
	} while (0)

/* SipHash-2-4 of the 8 bytes of `hash` under the salt: without the 128-bit key nobody can tell a content from it. */
static __always_inline u64 salt(u64 hash)
{
	u64 a = salt0 ^ 0x736f6d6570736575ULL, b = salt1 ^ 0x646f72616e646f6dULL;
	u64 c = salt0 ^ 0x6c7967656e657261ULL, d = salt1 ^ 0x7465646279746573ULL;
	const u64 length = 8ULL << 56;

	d ^= hash;
	sip_round(a, b, c, d);
	sip_round(a, b, c, d);
	a ^= hash;
	d ^= length;
	sip_round(a, b, c, d);
	sip_round(a, b, c, d);
	a ^= length;
	c ^= 0xff;
	sip_round(a, b, c, d);
	sip_round(a, b, c, d);
	sip_round(a, b, c, d);
	sip_round(a, b, c, d);
	return a ^ b ^ c ^ d;
}

/*
 * Put XXH64 (seed 0) of the page, salted if wanted, and the word that fills it into the scratch.
 * A global function: the verifier checks it once, not once per caller and loop.
 */
__noinline int hash_page(u64 address)
{
	u32 zero = 0;
	struct page_words *page = bpf_map_lookup_elem(&page_scratch, &zero);
	struct folio_state *out = bpf_map_lookup_elem(&folio_scratch, &zero);
	u64 v1 = XXH_P1 + XXH_P2, v2 = XXH_P2, v3 = 0, v4 = 0 - XXH_P1, first, differs = 0, hash;

	if (!page || !out || bpf_probe_read_kernel(page, PAGE_BYTES, (void *)address))
		return -1;
	first = page->word[0];
#pragma clang loop unroll(disable)
	for (int i = 0; i < PAGE_WORDS; i += 4) {
		u64 w0 = page->word[i], w1 = page->word[i + 1], w2 = page->word[i + 2], w3 = page->word[i + 3];

		v1 = xxh_round(v1, w0);
		v2 = xxh_round(v2, w1);
		v3 = xxh_round(v3, w2);
		v4 = xxh_round(v4, w3);
		differs |= (w0 ^ first) | (w1 ^ first) | (w2 ^ first) | (w3 ^ first);
	}
	hash = rotl(v1, 1) + rotl(v2, 7) + rotl(v3, 12) + rotl(v4, 18);
	hash = xxh_merge(xxh_merge(xxh_merge(xxh_merge(hash, v1), v2), v3), v4) + PAGE_BYTES;
	hash = (hash ^ (hash >> 33)) * XXH_P2;
	hash = (hash ^ (hash >> 29)) * XXH_P3;
	hash ^= hash >> 32;
	out->hash = salted ? salt(hash) : hash;
	out->filled = !differs;
	out->fill = first;
	return 0;
}
