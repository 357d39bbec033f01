// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The BPF tier of `swaptrace record`: what the kernel does with every swapped page, from raw tracepoints alone.
 *
 * Every program writes fixed-size records into one ring buffer. swaptrace/ingest/bpf/records.py reads them; the two
 * layouts are compared by a test. Reading page content and page tables needs two base addresses, which the loader
 * puts into `page_offset` and `vmemmap` after it found them with the programs at the end of this file.
 *
 * raw_tp, not tp_btf: the verifier forbids arithmetic on the typed pointers of tp_btf.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

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

/* ---- what is recorded: keep in step with ingest/bpf/records.py ---- */

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

/* ---- settings, constant once loaded ---- */

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

/* ---- state of tasks ---- */

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

/* ---- records ---- */

/* Reserve a record about the current task. Every call pairs with a commit(). */
static __always_inline struct record *begin(u8 kind)
{
	struct record *r = bpf_ringbuf_reserve(&records, sizeof(*r), 0);
	u64 id = bpf_get_current_pid_tgid();

	if (!r) {
		__sync_fetch_and_add(&lost[kind & (RECORD_KINDS - 1)], 1);
		return 0;
	}
	__builtin_memset(r, 0, sizeof(*r));
	r->ts = bpf_ktime_get_ns();
	r->tgid = id >> 32;
	r->tid = (u32)id;
	r->cpu = bpf_get_smp_processor_id();
	r->kind = kind;
	r->pages = 1;
	return r;
}

static __always_inline void commit(void *r)
{
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP); /* the reader polls: a wakeup per page would cost more than the record */
}

/* Record the name of the current task if it is not known yet. */
static __always_inline void name_task(void)
{
	u32 tid = (u32)bpf_get_current_pid_tgid();
	u8 yes = 1;
	struct record *r;

	if (bpf_map_lookup_elem(&named, &tid))
		return;
	r = begin(RECORD_COMM);
	if (!r)
		return;
	bpf_get_current_comm(&r->hash, 16);
	commit(r);
	bpf_map_update_elem(&named, &tid, &yes, BPF_ANY);
}

static __always_inline struct task_state *state_of_task(void)
{
	struct task_state fresh = {}, *state;
	u32 tid = (u32)bpf_get_current_pid_tgid();

	state = bpf_map_lookup_elem(&tasks, &tid);
	if (state)
		return state;
	bpf_map_update_elem(&tasks, &tid, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&tasks, &tid);
}

/* ---- folios: struct folio, and struct page before 5.16 ---- */

static __always_inline u64 folio_flags(void *folio)
{
	u64 flags = 0;

	bpf_probe_read_kernel(&flags, sizeof(flags), folio); /* the first word, whatever type it has */
	return flags;
}

static __always_inline u64 folio_swap(void *folio)
{
	if (bpf_core_type_exists(struct folio))
		return (u64)BPF_CORE_READ((struct folio *)folio, private);
	return BPF_CORE_READ((struct page *)folio, private);
}

static __always_inline u64 folio_mapping(void *folio)
{
	if (bpf_core_type_exists(struct folio))
		return (u64)BPF_CORE_READ((struct folio *)folio, mapping);
	return (u64)BPF_CORE_READ((struct page *)folio, mapping);
}

static __always_inline u64 folio_index(void *folio)
{
	if (bpf_core_type_exists(struct folio))
		return BPF_CORE_READ((struct folio *)folio, index);
	return BPF_CORE_READ((struct page *)folio, index);
}

static __always_inline u64 folio_pfn(void *folio)
{
	return vmemmap ? ((u64)folio - vmemmap) / bpf_core_type_size(struct page) : 0;
}

static __always_inline u32 folio_order(void *folio)
{
	struct page___compound *second;

	if (!(folio_flags(folio) & page_flag(PG_head)))
		return 0;
	if (bpf_core_field_exists(struct folio___order, _folio_order))
		return BPF_CORE_READ((struct folio___order *)folio, _folio_order) & 15;
	if (bpf_core_type_exists(struct folio))
		return BPF_CORE_READ((struct folio *)folio, _flags_1) & 15;
	second = folio + bpf_core_type_size(struct page);
	return BPF_CORE_READ(second, compound_order) & 15;
}

static __always_inline struct mem_cgroup *folio_memcg(void *folio)
{
	u64 data = 0;

	if (bpf_core_type_exists(struct folio))
		data = BPF_CORE_READ((struct folio *)folio, memcg_data);
	else if (bpf_core_field_exists(struct page___memcg_data, memcg_data))
		data = BPF_CORE_READ((struct page___memcg_data *)folio, memcg_data);
	else
		data = (u64)BPF_CORE_READ((struct page___mem_cgroup *)folio, mem_cgroup);
	return data & 3 ? 0 : (struct mem_cgroup *)(data & ~7ULL); /* 1, 2: object cgroups and kernel memory */
}

static __always_inline u64 memcg_id(struct mem_cgroup *memcg)
{
	return memcg ? BPF_CORE_READ(memcg, css.cgroup, kn, id) : 0;
}

/* ---- content ---- */

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

/* ---- whose page it is ---- */

/*
 * Find the mapping of page `index` of the folio in the interval tree of its anon_vma: va and owner into the scratch.
 * Several processes may share the page after fork: this is the one whose mapping is first in the tree.
 */
__noinline int find_owner(u64 index)
{
	u32 zero = 0;
	struct folio_state *out = bpf_map_lookup_elem(&folio_scratch, &zero);
	struct rb_node *node, *left;
	u64 mapping;

	if (!out)
		return -1;
	mapping = folio_mapping((void *)out->folio);
	out->va = index << PAGE_SHIFT;
	out->owner = 0;
	out->flags &= ~(FLAG_SHMEM | FLAG_UNMAPPED);
	if (!(mapping & 1)) { /* PAGE_MAPPING_ANON: shmem has left its page cache by now, its inode is unknown */
		out->flags |= FLAG_SHMEM;
		return 0;
	}
	node = BPF_CORE_READ((struct anon_vma *)(mapping & ~3ULL), rb_root.rb_root.rb_node);
	for (int i = 0; i < MAX_RMAP_STEPS && node; i++) {
		struct anon_vma_chain *chain = (void *)node - bpf_core_field_offset(struct anon_vma_chain, rb);
		struct vm_area_struct *vma = BPF_CORE_READ(chain, vma);
		u64 start = BPF_CORE_READ(vma, vm_start), first = BPF_CORE_READ(vma, vm_pgoff);
		u64 pages = (BPF_CORE_READ(vma, vm_end) - start) >> PAGE_SHIFT;

		left = BPF_CORE_READ(node, rb_left);
		if (left) {
			struct anon_vma_chain *below = (void *)left - bpf_core_field_offset(struct anon_vma_chain, rb);

			if (BPF_CORE_READ(below, rb_subtree_last) >= index) {
				node = left;
				continue;
			}
		}
		if (index < first)
			break;
		if (index - first < pages) {
			out->va = start + ((index - first) << PAGE_SHIFT);
			out->owner = BPF_CORE_READ(vma, vm_mm, owner, tgid);
			return 0;
		}
		node = BPF_CORE_READ(node, rb_right);
	}
	out->flags |= FLAG_UNMAPPED;
	return 0;
}

/* ---- swap-out ---- */

/* The slot of a zswap entry; old kernels know its offset only, and the type is that of `hint`. */
static __always_inline u64 zswap_slot(u64 entry, u64 hint)
{
	if (!entry)
		return 0;
	if (bpf_core_field_exists(struct zswap_entry, swpentry))
		return BPF_CORE_READ((struct zswap_entry *)entry, swpentry.val);
	if (bpf_core_field_exists(struct zswap_entry___tree, offset))
		return (hint & ~SWP_OFFSET_MASK) | BPF_CORE_READ((struct zswap_entry___tree *)entry, offset);
	return 0;
}

/* The zswap entry of page `sub`: the latest entries that the task allocated are those of this folio. */
static __always_inline u64 stored_entry(struct folio_state *folio, u32 sub)
{
	struct store_key key = { folio->tid, (folio->stores - folio->pages + sub) & (MAX_FOLIO_PAGES - 1) };
	u64 *entry = bpf_map_lookup_elem(&stores, &key);

	return entry ? *entry : 0;
}

static __always_inline void add_zswap_size(struct record *r, struct folio_state *folio, u32 sub)
{
	struct zswap_entry *entry = (void *)stored_entry(folio, sub);

	if (zswap_slot((u64)entry, r->swp) == r->swp)
		r->csize = BPF_CORE_READ(entry, length);
}

/* Size and handle of what zram stored, from its table. Same-filled pages have neither. */
static __always_inline void add_zram_entry(struct record *r)
{
	u32 type = r->swp >> SWP_TYPE_SHIFT, shift;
	struct area *area = bpf_map_lookup_elem(&areas, &type);
	struct zram_table_entry *entry;
	struct zram *zram;
	u64 flags;

	if (!area || !area->zram || !bpf_core_field_exists(struct zram_table_entry, flags))
		return;
	zram = (void *)area->zram; /* apart: CO-RE would look for struct area in the kernel */
	entry = BPF_CORE_READ(zram, table);
	entry = (void *)entry + (r->swp & SWP_OFFSET_MASK) * bpf_core_type_size(struct zram_table_entry);
	flags = BPF_CORE_READ(entry, flags);
	/* ZRAM_FLAG_SHIFT, below which the size is: the first flag, which is LOCK where that exists */
	shift = bpf_core_enum_value_exists(enum zram_pageflags, ZRAM_LOCK) ? kernel_enum(zram_pageflags, ZRAM_LOCK)
									    : kernel_enum(zram_pageflags, ZRAM_SAME);
	if (flags >> (kernel_enum(zram_pageflags, ZRAM_SAME) & 31) & 1)
		return;
	r->csize = flags & ((1ULL << (shift & 31)) - 1);
	if (!(r->flags & FLAG_FILLED)) {
		r->aux = BPF_CORE_READ(entry, handle);
		r->flags |= FLAG_HANDLE;
	}
}

/* Hand out the content that was just hashed, once per hash, if its hash is in the sample. */
static __always_inline void sample_content(u64 hash)
{
	u32 zero = 0;
	u8 yes = 1;
	struct page_words *page = bpf_map_lookup_elem(&page_scratch, &zero);
	struct content *content;

	if (!page || hash & (sample - 1) || bpf_map_lookup_elem(&sampled, &hash))
		return;
	content = bpf_ringbuf_reserve(&contents, sizeof(*content), 0);
	if (!content) {
		__sync_fetch_and_add(&lost_contents, 1);
		return;
	}
	content->hash = hash;
	bpf_probe_read_kernel(content->word, PAGE_BYTES, page);
	commit(content);
	bpf_map_update_elem(&sampled, &hash, &yes, BPF_ANY);
}

/* Record page `sub` of the folio in the scratch. A global function: verified once, not 512 times. */
__noinline int record_page(u32 sub)
{
	u32 zero = 0;
	struct folio_state *folio = bpf_map_lookup_elem(&folio_scratch, &zero);
	struct record *r;
	bool hashed;

	if (!folio)
		return -1;
	if (want_owner && sub)
		find_owner(folio_index((void *)folio->folio) + sub);
	hashed = want_hash && page_offset && vmemmap && !hash_page(page_offset + ((folio->pfn + sub) << PAGE_SHIFT));
	r = begin(RECORD_OUT);
	if (!r)
		return -1;
	r->swp = folio->swp ? folio->swp + sub : 0;
	r->pfn = folio->pfn + sub;
	r->va = folio->va;
	r->owner = folio->owner;
	r->memcg = folio->memcg;
	r->order = folio->order;
	r->pages = folio->pages;
	r->sub = sub;
	r->backend = folio->backend;
	r->flags = folio->flags;
	if (hashed) {
		r->hash = folio->hash;
		r->flags |= FLAG_HASHED;
		if (folio->filled) {
			r->flags |= FLAG_FILLED;
			r->aux = folio->fill;
		}
	}
	if (r->backend == BACKEND_DISK)
		add_zram_entry(r);
	if (r->backend == BACKEND_ZSWAP)
		add_zswap_size(r, folio, sub);
	commit(r);
	if (sample && hashed && !folio->filled)
		sample_content(folio->hash);
	return 0;
}

/* Where the page went; fills in the slot. `task` has seen the write, if there was one, and the zswap stores. */
static __always_inline u8 settle_backend(struct folio_state *folio, struct task_state *task, u64 flags)
{
	bool cached = flags & page_flag(PG_swapcache);
	struct area *area;
	u64 stored;
	u32 type;

	if (task->write_pages && task->write_folio == folio->folio) {
		folio->swp = task->write_swp; /* the folio may have left the swap cache since */
		return BACKEND_DISK;
	}
	stored = task->stores >= folio->pages ? zswap_slot(stored_entry(folio, 0), folio->swp) : 0;
	if (stored && (!cached || stored == folio->swp)) {
		folio->swp = stored;
		return BACKEND_ZSWAP;
	}
	if (!cached)
		return BACKEND_FREED; /* folio_free_swap(): the slot was given back instead of being written */
	if (bpf_core_field_exists(struct swap_info_struct, zeromap))
		return BACKEND_ZERO;
	/* Before zero pages had a bitmap, a page without a bio went to a zram device through rw_page. */
	type = folio->swp >> SWP_TYPE_SHIFT;
	area = bpf_map_lookup_elem(&areas, &type);
	if (area)
		area->seen |= SEEN_BYPASS;
	return BACKEND_DISK;
}

static __always_inline int record_out(void *page)
{
	u32 zero = 0;
	struct folio_state *folio = bpf_map_lookup_elem(&folio_scratch, &zero);
	struct task_state *task = state_of_task();
	struct mem_cgroup *memcg = folio_memcg(page);
	u64 flags = folio_flags(page);
	u32 pages;

	if (!folio || !task || !(flags & page_flag(PG_swapbacked)))
		return 0; /* mm_vmscan_writepage fires for file pages, too */
	name_task();
	folio->folio = (u64)page;
	folio->pfn = folio_pfn(page);
	folio->order = folio_order(page);
	folio->pages = pages = 1U << folio->order;
	folio->memcg = memcg_id(memcg);
	folio->flags = memcg && BPF_CORE_READ(memcg, css.parent) ? 0 : FLAG_ROOT_MEMCG;
	folio->tid = (u32)bpf_get_current_pid_tgid();
	folio->stores = task->stores;
	folio->swp = flags & page_flag(PG_swapcache) ? folio_swap(page) : 0;
	folio->backend = settle_backend(folio, task, flags);
	folio->va = folio->owner = 0;
	if (want_owner)
		find_owner(folio_index(page));
	else
		folio->flags |= FLAG_UNMAPPED;
	for (u32 sub = 0; sub < MAX_FOLIO_PAGES; sub++) {
		if (sub >= pages)
			break;
		if (record_page(sub)) {
			/* Pages of one folio come together or not at all behind the first that is lost. */
			__sync_fetch_and_add(&lost[RECORD_OUT], pages - sub - 1);
			break;
		}
	}
	task->write_folio = task->write_pages = task->stores = 0;
	return 0;
}

SEC("raw_tp/mm_vmscan_write_folio")
int BPF_PROG(write_folio, void *folio)
{
	return record_out(folio);
}

SEC("raw_tp/mm_vmscan_writepage") /* before 5.18 */
int BPF_PROG(writepage, void *page)
{
	return record_out(page);
}

/* ---- device I/O ---- */

static __always_inline struct gendisk *bio_disk(struct bio *bio)
{
	if (bpf_core_field_exists(struct bio___disk, bi_disk))
		return BPF_CORE_READ((struct bio___disk *)bio, bi_disk);
	return BPF_CORE_READ(bio, bi_bdev, bd_disk);
}

static __always_inline void learn_area(u64 swp, struct gendisk *disk, u32 dev)
{
	u32 type = swp >> SWP_TYPE_SHIFT;
	struct area *area = bpf_map_lookup_elem(&areas, &type);

	if (!area || (area->seen & SEEN_BIO && area->dev == dev))
		return;
	area->zram = zram_major && dev >> 20 == zram_major ? (u64)BPF_CORE_READ(disk, private_data) : 0;
	area->dev = dev;
	area->seen |= SEEN_BIO;
}

static __always_inline void record_io(u8 kind, void *folio, u64 swp, u32 dev, u32 pages)
{
	struct record *r;

	name_task();
	r = begin(kind);
	if (!r)
		return;
	r->swp = swp;
	r->pfn = folio_pfn(folio);
	r->order = folio_order(folio);
	r->pages = pages;
	r->dev = dev;
	r->memcg = memcg_id(folio_memcg(folio));
	commit(r);
}

static __always_inline void device_write(void *folio, u64 swp, u32 dev, u32 pages)
{
	struct task_state *task = state_of_task();

	if (!task)
		return;
	if (task->writeback == swp + 1) {
		task->writeback = 0;
		record_io(RECORD_WRITEBACK, folio, swp, dev, pages);
		return;
	}
	if (task->write_pages)
		__sync_fetch_and_add(&unpaired_writes, task->write_pages);
	task->write_folio = (u64)folio;
	task->write_swp = swp;
	task->write_pages = pages;
}

static __always_inline int device_io(struct bio *bio)
{
	u32 op = BPF_CORE_READ(bio, bi_opf) & 0xff; /* REQ_OP_MASK: 0 read, 1 write */
	void *folio;
	u64 flags, swp;
	struct gendisk *disk;
	u32 dev, pages;

	if (op > 1)
		return 0;
	folio = BPF_CORE_READ(bio, bi_io_vec, bv_page);
	if (!folio)
		return 0;
	flags = folio_flags(folio);
	if (!(flags & page_flag(PG_swapbacked)))
		return 0;
	if (!(flags & page_flag(PG_swapcache))) {
		/* A read past the swap cache (SWP_SYNCHRONOUS_IO): a locked folio that is not mapped yet. */
		if (op || !(flags & page_flag(PG_locked)) || folio_mapping(folio))
			return 0;
	}
	disk = bio_disk(bio);
	dev = BPF_CORE_READ(disk, major) << 20 | BPF_CORE_READ(disk, first_minor);
	pages = BPF_CORE_READ(bio, bi_iter.bi_size) >> PAGE_SHIFT;
	swp = folio_swap(folio);
	learn_area(swp, disk, dev);
	if (op)
		device_write(folio, swp, dev, pages);
	else
		record_io(RECORD_READ, folio, swp, dev, pages);
	return 0;
}

SEC("raw_tp/block_bio_queue")
int BPF_PROG(bio_queue, struct bio *bio)
{
	return device_io(bio);
}

SEC("?raw_tp/block_bio_queue") /* up to 5.10 */
int BPF_PROG(bio_queue_2, void *queue, struct bio *bio)
{
	return device_io(bio);
}

/* ---- faults ---- */

#define PTE_PRESENT 1
#define PTE_HUGE 0x80
#define PTE_PROTNONE 0x100
#define PTE_ADDRESS 0x000ffffffffff000ULL
#define PTES_MASK 511

/* Read one level of the page table at `table`; return the next table, 0 where there is none. */
static __always_inline u64 next_table(u64 table, u64 va, u32 shift)
{
	u64 entry = 0;

	if (bpf_probe_read_kernel(&entry, sizeof(entry), (void *)(table + ((va >> shift) & PTES_MASK) * sizeof(entry))))
		return 0;
	if (!(entry & PTE_PRESENT) || entry & PTE_HUGE)
		return 0;
	return page_offset + (entry & PTE_ADDRESS);
}

/* The swap entry that the current task has at `va` (x86-64), 0 if it has none: slot 0 is the header. */
static __always_inline u64 swap_entry_at(u64 va)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u64 table = (u64)BPF_CORE_READ(task, mm, pgd), pte = 0, type;

	if (table && five_levels)
		table = next_table(table, va, 48);
	if (table)
		table = next_table(table, va, 39);
	if (table)
		table = next_table(table, va, 30);
	if (table)
		table = next_table(table, va, 21);
	if (!table)
		return 0;
	if (bpf_probe_read_kernel(&pte, sizeof(pte), (void *)(table + ((va >> PAGE_SHIFT) & PTES_MASK) * sizeof(pte))))
		return 0;
	if (!pte || pte & (PTE_PRESENT | PTE_PROTNONE))
		return 0;
	type = pte >> 59; /* arch/x86/include/asm/pgtable_64.h: the offset is inverted against L1TF */
	if (type >= MAX_SWAP_TYPES)
		return 0;
	return type << SWP_TYPE_SHIFT | ((~pte << 5) >> 14);
}

static __always_inline int record_fault(u64 va, u64 error)
{
	u64 swp;
	struct record *r;

	if (!want_fault || !page_offset || error & 1) /* bit 0: the page is present */
		return 0;
	swp = swap_entry_at(va);
	if (!swp)
		return 0;
	name_task();
	r = begin(RECORD_FAULT);
	if (!r)
		return 0;
	r->swp = swp;
	r->va = va;
	r->flags = error & 2 ? FLAG_WRITE : 0;
	commit(r);
	return 0;
}

SEC("raw_tp/page_fault_user")
int BPF_PROG(fault_user, unsigned long va, struct pt_regs *regs, unsigned long error)
{
	return record_fault(va, error);
}

SEC("raw_tp/page_fault_kernel")
int BPF_PROG(fault_kernel, unsigned long va, struct pt_regs *regs, unsigned long error)
{
	return va >> 63 ? 0 : record_fault(va, error);
}

SEC("raw_tp/count_memcg_events")
int BPF_PROG(memcg_event, struct mem_cgroup *memcg, int item, unsigned long count)
{
	struct record *r;

	if (!bpf_core_enum_value_exists(enum vm_event_item, SWPIN_ZERO))
		return 0;
	if (item != (int)kernel_enum(vm_event_item, SWPIN_ZERO))
		return 0;
	name_task();
	r = begin(RECORD_ZERO_IN);
	if (!r)
		return 0;
	r->pages = count;
	r->memcg = memcg_id(memcg);
	commit(r);
	return 0;
}

/* ---- frees ---- */

static __always_inline bool within(u64 ip, u64 start, u64 end)
{
	return ip >= start && ip < end;
}

/* Why the object is freed: the first caller that `reasons` knows. */
static __always_inline u32 reason_of(void *context)
{
	u64 frames[MAX_FRAMES] = {};

	if (bpf_get_stack(context, frames, sizeof(frames), 0) < 0)
		return REASON_FREE;
	for (int i = 0; i < MAX_FRAMES; i++)
		for (int k = 0; k < MAX_RANGES; k++)
			if (within(frames[i], reasons[k].start, reasons[k].end))
				return reasons[k].reason;
	return REASON_FREE;
}

static __always_inline int free_handle(void *context, u64 handle)
{
	struct task_state *task;
	u32 tid = (u32)bpf_get_current_pid_tgid();
	struct record *r;

	if (exact_frees || (zram_moves && reason_of(context) != REASON_FREE))
		return 0;
	name_task();
	task = bpf_map_lookup_elem(&tasks, &tid);
	r = begin(RECORD_HANDLE_FREE);
	if (!r)
		return 0;
	r->aux = handle;
	if (task) { /* a free of what this task overwrites right now is none of its slot: ingest tells */
		r->swp = task->write_swp;
		r->pages = task->write_pages;
	}
	commit(r);
	return 0;
}

static __always_inline int free_zswap_entry(void *context, struct zswap_entry *entry)
{
	u64 swp = zswap_slot((u64)entry, 0);
	struct task_state *task;
	struct record *r;
	u32 reason = reason_of(context);

	if (reason == REASON_WRITEBACK) {
		task = state_of_task();
		if (task)
			task->writeback = swp + 1; /* the write follows: device_write() */
		return 0;
	}
	if (reason == REASON_REPLACE || (reason == REASON_FREE && exact_frees))
		return 0;
	name_task();
	r = begin(reason == REASON_LOAD ? RECORD_ZSWAP_IN : RECORD_ZSWAP_FREE);
	if (!r)
		return 0;
	r->swp = swp;
	r->csize = BPF_CORE_READ(entry, length);
	commit(r);
	return 0;
}

SEC("raw_tp/kmem_cache_free")
int BPF_PROG(cache_free, unsigned long ip, void *object, struct kmem_cache *cache)
{
	u32 size;

	if (!within(ip, zs_start, zs_end) && !within(ip, zram_start, zram_end) && !within(ip, zswap_start, zswap_end))
		return 0;
	size = BPF_CORE_READ(cache, object_size);
	if (size == sizeof(u64))
		return free_handle(ctx, (u64)object);
	if (!bpf_core_type_exists(struct zswap_entry) || size != bpf_core_type_size(struct zswap_entry))
		return 0;
	return within(ip, zswap_start, zswap_end) ? free_zswap_entry(ctx, object) : 0;
}

SEC("?raw_tp/kmem_cache_free") /* up to 5.13: without the cache, so only what cannot be anything but a handle */
int BPF_PROG(cache_free_2, unsigned long ip, void *object)
{
	if (!within(ip, zs_start, zs_end) && !within(ip, zram_start, zram_end))
		return 0;
	return free_handle(ctx, (u64)object);
}

SEC("raw_tp/kmem_cache_alloc")
int BPF_PROG(cache_alloc, unsigned long ip, void *object, struct kmem_cache *cache)
{
	struct task_state *task;
	struct store_key key;
	u64 entry = (u64)object;

	if (!within(ip, zswap_start, zswap_end) || !bpf_core_type_exists(struct zswap_entry))
		return 0;
	if (BPF_CORE_READ(cache, object_size) != bpf_core_type_size(struct zswap_entry))
		return 0;
	task = state_of_task();
	if (!task)
		return 0;
	key.tid = (u32)bpf_get_current_pid_tgid();
	key.index = task->stores & (MAX_FOLIO_PAGES - 1);
	bpf_map_update_elem(&stores, &key, &entry, BPF_ANY);
	task->stores++;
	return 0;
}

static __always_inline int free_slots(u64 swp, u32 pages)
{
	struct record *r;

	name_task();
	r = begin(RECORD_SLOT_FREE);
	if (!r)
		return 0;
	r->swp = swp;
	r->pages = pages;
	commit(r);
	return 0;
}

/* The function that gives slots back, by kernel; the loader takes one that exists, if the kernel lets it. */
SEC("?fentry/swap_entries_free") /* 6.16 */
int BPF_PROG(fentry_entries_free, struct swap_info_struct *si, void *cluster, u64 entry, unsigned int pages)
{
	return free_slots(entry, pages);
}

SEC("?kprobe/swap_entries_free")
int BPF_KPROBE(kprobe_entries_free, struct swap_info_struct *si, void *cluster, u64 entry, unsigned int pages)
{
	return free_slots(entry, pages);
}

SEC("?fentry/swap_entry_range_free") /* 6.10 to 6.15 */
int BPF_PROG(fentry_entry_range_free, struct swap_info_struct *si, u64 entry, unsigned int pages)
{
	return free_slots(entry, pages);
}

SEC("?kprobe/swap_entry_range_free")
int BPF_KPROBE(kprobe_entry_range_free, struct swap_info_struct *si, u64 entry, unsigned int pages)
{
	return free_slots(entry, pages);
}

SEC("?fentry/swap_range_free") /* up to 6.9 */
int BPF_PROG(fentry_range_free, struct swap_info_struct *si, unsigned long offset, unsigned int pages)
{
	return free_slots((u64)BPF_CORE_READ(si, type) << SWP_TYPE_SHIFT | offset, pages);
}

SEC("?kprobe/swap_range_free")
int BPF_KPROBE(kprobe_range_free, struct swap_info_struct *si, unsigned long offset, unsigned int pages)
{
	return free_slots((u64)BPF_CORE_READ(si, type) << SWP_TYPE_SHIFT | offset, pages);
}

/* ---- tasks ---- */

SEC("raw_tp/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	u32 tid = BPF_CORE_READ(task, pid);
	struct record *r;

	bpf_map_delete_elem(&tasks, &tid);
	if (tid == (u32)BPF_CORE_READ(task, tgid)) {
		name_task();
		r = begin(RECORD_EXIT);
		if (r)
			commit(r);
	}
	bpf_map_delete_elem(&named, &tid);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task)
{
	u32 tid = BPF_CORE_READ(task, pid);
	struct record *r;

	bpf_map_delete_elem(&named, &tid);
	name_task();
	r = begin(RECORD_EXEC);
	if (r)
		commit(r);
	return 0;
}

SEC("raw_tp/task_rename")
int BPF_PROG(task_rename, struct task_struct *task)
{
	u32 tid = BPF_CORE_READ(task, pid);

	bpf_map_delete_elem(&named, &tid);
	return 0;
}

/* ---- base addresses: run by the loader before anything is recorded ---- */

#define MAGIC_WORDS 4
#define CANDIDATES 256   /* per run: more exceed the verifier's budget */
#define GIB_SHIFT 30     /* KASLR places the direct map at a multiple of 1 GiB */

extern const void page_offset_base __ksym __weak;
extern const void vmemmap_base __ksym __weak;

u64 magic[MAGIC_WORDS], magic_pfn, first_candidate; /* in */
u64 found_page_offset, lru_folio, lru_pfn, page_struct_bytes; /* out */
u64 symbol_page_offset, symbol_vmemmap, zswap_knows_type;

SEC("raw_tp/sys_enter") /* never attached: BPF_PROG_TEST_RUN */
int read_symbols(void *context)
{
	if (&page_offset_base)
		bpf_probe_read_kernel(&symbol_page_offset, sizeof(u64), &page_offset_base);
	if (&vmemmap_base)
		bpf_probe_read_kernel(&symbol_vmemmap, sizeof(u64), &vmemmap_base);
	page_struct_bytes = bpf_core_type_size(struct page);
	zswap_knows_type = bpf_core_field_exists(struct zswap_entry, swpentry) || !bpf_core_type_exists(struct zswap_entry);
	return 0;
}

/* Look for the page whose content and frame the loader knows, from the base that is nearest below a kernel object. */
SEC("raw_tp/sys_enter")
int find_page_offset(void *context)
{
	u64 top = (u64)bpf_get_current_task() >> GIB_SHIFT << GIB_SHIFT;

	for (int i = 0; i < CANDIDATES; i++) {
		u64 base = top - ((first_candidate + i) << GIB_SHIFT), words[MAGIC_WORDS] = {};

		if (bpf_probe_read_kernel(words, sizeof(words), (void *)(base + (magic_pfn << PAGE_SHIFT))))
			continue;
		if (words[0] == magic[0] && words[1] == magic[1] && words[2] == magic[2] && words[3] == magic[3]) {
			found_page_offset = base;
			return 1;
		}
	}
	return 0;
}

struct lru_insertion { /* events/pagemap/mm_lru_insertion/format */
	u64 common;
	u64 folio;
	u64 pfn;
};

/* A folio and its frame at once: vmemmap is the difference. */
SEC("tp/pagemap/mm_lru_insertion")
int learn_folio(struct lru_insertion *event)
{
	if (!lru_folio) {
		lru_pfn = event->pfn;
		lru_folio = event->folio;
	}
	return 0;
}
