/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the loader sets before the programs run, and what it shares with them through .bss.
 */
#pragma once

struct text_range {
	u64 start, end;
	u32 reason, unused;
};
/* Who frees an object, told from its call stack. */
enum reason { REASON_FREE, REASON_LOAD, REASON_WRITEBACK, REASON_REPLACE };

const volatile u32 want_hash = 1, want_owner = 1, want_fault = 1, salted = 0, exact_frees = 0, five_levels = 0;
const volatile u32 zram_major = 0, zram_moves = 0;
const volatile u64 salt0 = 0, salt1 = 0;
const volatile u64 sample = 0; /* one content of this many is sampled, a power of two; 0: none */
/* Text of zsmalloc, zram and zswap: who allocates and frees. A merged slab cache has another one's name. */
const volatile u64 zs_start = 0, zs_end = 0, zram_start = 0, zram_end = 0, zswap_start = 0, zswap_end = 0;
const volatile struct text_range reasons[MAX_RANGES] = {};

/* ---- state shared with the loader through .bss ---- */

u64 page_offset = 0, vmemmap = 0; /* 0: unknown, so neither content nor page tables are read */
u64 lost[RECORD_KINDS];           /* records that found the ring full */
struct record *layout;            /* never set: brings struct record into the BTF of this object, for the test */
u64 lost_contents;                /* sampled contents that found their ring full */
u64 unpaired_writes;              /* writes to a swap device that no mm_vmscan_write_folio followed */
