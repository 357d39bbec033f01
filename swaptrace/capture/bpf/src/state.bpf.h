/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the programs remember: of tasks, of the folio in hand, and of the disks behind the swap types.
 */
#pragma once

/* Between the write of a folio and its mm_vmscan_write_folio the task may move to another CPU: state is per task. */
struct task_state {
	u64 write_folio, write_swp; /* the latest write to a swap device, until mm_vmscan_write_folio */
	u32 write_pages;
	u32 stores;       /* zswap entries allocated since then */
	u64 writeback;    /* slot whose zswap entry was dropped for writeback, + 1 */
};
struct store_key {
	u32 tid, index;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, struct task_state);
} tasks SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct store_key);
	__type(value, u64);
} stores SEC(".maps"); /* the latest zswap entries of a task, in a ring of MAX_FOLIO_PAGES */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, u8);
} named SEC(".maps"); /* tasks whose name is recorded */

/* ---- scratch of one CPU: raw tracepoints are not preempted ---- */

struct folio_state {
	u64 folio, swp, pfn, va, memcg;
	u32 owner, stores, tid;
	u16 pages;
	u8 order, backend, flags;
	u64 hash, fill;
	u8 filled;
};
struct page_words {
	u64 word[PAGE_WORDS];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct folio_state);
} folio_scratch SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct page_words);
} page_scratch SEC(".maps");

enum seen_io { SEEN_BIO = 1, SEEN_BYPASS = 2 }; /* bypass: pages were written without a bio (zram before 6.3) */

/* Which disk holds a swap type: learned from the writes, read by the loader at the end. */
struct area {
	u64 zram; /* struct zram of a zram device, else 0 */
	u32 dev, seen; /* enum seen_io */
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 32);
	__type(key, u32);
	__type(value, struct area);
} areas SEC(".maps");

#define kernel_enum(type, name) bpf_core_enum_value(enum type, name)
#define page_flag(name) (1ULL << kernel_enum(pageflags, name))
