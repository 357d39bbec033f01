/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Frees: zsmalloc handles, zswap entries, and slots where the kernel lets their function be seen.
 */
#pragma once

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
