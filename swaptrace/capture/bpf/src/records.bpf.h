/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What is recorded: the records of the ring buffer, the contents of sampled pages, and constants of swap entries.
 * Keep in step with ingest/bpf/records.py.
 */
#pragma once

#define PAGE_SHIFT 12
#define PAGE_BYTES 4096
#define PAGE_WORDS 512
#define MAX_FOLIO_PAGES 512
#define SWP_TYPE_SHIFT 58 /* of swp_entry_t on 64 bit: MAX_SWAPFILES_SHIFT 5, one bit unused; include/linux/swapops.h */
#define SWP_OFFSET_MASK ((1ULL << SWP_TYPE_SHIFT) - 1)
#define MAX_SWAP_TYPES 23 /* the smallest MAX_SWAPFILES of any configuration; above are migration entries and the like */
#define MAX_RMAP_STEPS 40 /* depth of a red-black tree of 2^20 nodes */
#define MAX_FRAMES 12
#define MAX_RANGES 8
#define RING_BYTES (4 << 20) /* the loader sets the real size */

enum record_kind {
	RECORD_COMM = 1,       /* name of tid, before its first record and after exec and rename */
	RECORD_OUT = 2,        /* one page of a folio that reclaim wrote */
	RECORD_READ = 3,       /* a folio is read from a device */
	RECORD_FAULT = 4,      /* a fault on a swap entry */
	RECORD_ZERO_IN = 5,    /* zero pages come in without a read */
	RECORD_ZSWAP_IN = 6,   /* a page comes in from zswap */
	RECORD_WRITEBACK = 7,  /* zswap writes a page to the device */
	RECORD_ZSWAP_FREE = 8, /* zswap drops a page because its slot is freed */
	RECORD_HANDLE_FREE = 9,/* a zsmalloc handle is freed; aux is the handle */
	RECORD_SLOT_FREE = 10, /* slots are freed, seen in the function itself */
	RECORD_EXEC = 11,
	RECORD_EXIT = 12,
	RECORD_KINDS = 16,
};
enum backend { BACKEND_NONE, BACKEND_DISK, BACKEND_ZERO, BACKEND_ZSWAP, BACKEND_FREED };
enum record_flag {
	FLAG_HASHED = 1,     /* hash is the hash of the content */
	FLAG_FILLED = 2,     /* aux is the word that fills the page */
	FLAG_SHMEM = 4,      /* va is index * 4096 */
	FLAG_UNMAPPED = 8,   /* no mapping was found: va and owner are unknown */
	FLAG_WRITE = 16,     /* the fault is a write */
	FLAG_HANDLE = 32,    /* aux is a zsmalloc handle */
	FLAG_ROOT_MEMCG = 64,/* charged to the root cgroup: its zero pages come in without RECORD_ZERO_IN */
};

struct record {
	u64 ts;    /* taken after the space in the ring was reserved: the drain relies on it (ring.py) */
	u64 swp;   /* swp_entry_t: type << 58 | offset */
	u64 va;
	u64 pfn;
	u64 hash;  /* RECORD_COMM: the name is in hash and aux */
	u64 aux;
	u64 memcg; /* inode of the cgroup's directory */
	u32 tgid, tid;
	u32 owner; /* OUT: tgid of the process whose page it is */
	u32 dev;   /* READ, WRITEBACK: major << 20 | minor of the whole disk */
	u32 csize; /* bytes stored by zram or zswap; 0: unknown */
	u16 cpu, pages, sub;
	u8 kind, order, backend, flags;
	u8 unused[2];
};
_Static_assert(sizeof(struct record) == 88, "ingest/bpf/records.py reads 88 bytes");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} records SEC(".maps");

/* The content of sampled pages, for the sizes that compressors give it; the loader sets both sizes if it is wanted. */
struct content {
	u64 hash;
	u64 word[PAGE_WORDS];
};
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, PAGE_BYTES);
} contents SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, u64);
	__type(value, u8);
} sampled SEC(".maps"); /* hashes whose content was handed out */
