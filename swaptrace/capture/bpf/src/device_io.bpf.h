/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Device I/O of swap: reads, zswap writebacks, and which disk holds a swap type.
 */
#pragma once

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
