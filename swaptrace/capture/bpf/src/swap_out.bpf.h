/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Swap-out: a record for each page of a folio that reclaim wrote, and where the page went.
 */
#pragma once

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
