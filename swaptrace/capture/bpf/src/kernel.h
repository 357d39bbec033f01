/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The parts of kernel types that swaptrace.bpf.c reads.
 *
 * preserve_access_index makes libbpf look up each field in the BTF of the running kernel, so only names count here,
 * not offsets. A suffix ___x names an older shape of the same type: libbpf ignores it when it matches.
 */
#ifndef SWAPTRACE_KERNEL_H
#define SWAPTRACE_KERNEL_H
#define __VMLINUX_H__ /* bpf_tracing.h: registers have their kernel names */

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef _Bool bool;

/* enum bpf_map_type, flags of BPF helpers: uapi/linux/bpf.h, which cannot be included beside these typedefs */
enum { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_PERCPU_ARRAY = 6, BPF_MAP_TYPE_LRU_HASH = 9 };
enum { BPF_MAP_TYPE_RINGBUF = 27 };
enum { BPF_ANY = 0, BPF_RB_NO_WAKEUP = 1 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs { /* x86-64 */
	unsigned long di, si, dx, cx, r8, r9, bp, sp, ax, ip;
};

enum pageflags { PG_locked, PG_swapcache, PG_swapbacked, PG_head };

struct address_space;
struct mem_cgroup;
struct task_struct;

/* A page frame. 5.16 split struct folio from struct page; the fields here kept their places. */
struct page {
	unsigned long flags;
	struct address_space *mapping;
	unsigned long index;
	unsigned long private;
};
struct page___mem_cgroup { /* before 5.11 */
	struct mem_cgroup *mem_cgroup;
};
struct page___memcg_data { /* 5.11 to 5.15 */
	unsigned long memcg_data;
};
struct page___compound { /* of the second page of a compound page, before struct folio */
	unsigned char compound_order;
};
struct folio {
	struct address_space *mapping;
	unsigned long index;
	void *private;
	unsigned long memcg_data;
	unsigned long _flags_1; /* its low byte is the order since 6.6 */
};
struct folio___order { /* 5.18 to 6.5 */
	unsigned char _folio_order;
};

struct kernfs_node {
	u64 id;
};
struct cgroup {
	struct kernfs_node *kn;
};
struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};
struct mem_cgroup {
	struct cgroup_subsys_state css;
};

struct rb_node {
	struct rb_node *rb_right, *rb_left;
};
struct rb_root {
	struct rb_node *rb_node;
};
struct rb_root_cached {
	struct rb_root rb_root;
};
struct anon_vma {
	struct rb_root_cached rb_root;
};
struct mm_struct {
	void *pgd;
	struct task_struct *owner;
};
struct vm_area_struct {
	unsigned long vm_start, vm_end, vm_pgoff;
	struct mm_struct *vm_mm;
};
struct anon_vma_chain {
	struct vm_area_struct *vma;
	struct rb_node rb;
	unsigned long rb_subtree_last;
};
struct task_struct {
	int pid, tgid;
	struct mm_struct *mm;
};

struct gendisk {
	int major, first_minor;
	void *private_data;
};
struct block_device {
	struct gendisk *bd_disk;
};
struct bio_vec {
	struct page *bv_page;
};
struct bvec_iter {
	unsigned int bi_size;
};
struct bio {
	struct block_device *bi_bdev;
	unsigned int bi_opf;
	struct bvec_iter bi_iter;
	struct bio_vec *bi_io_vec;
};
struct bio___disk { /* before 5.12 */
	struct gendisk *bi_disk;
};

typedef struct {
	unsigned long val;
} swp_entry_t;
struct swap_info_struct {
	signed char type;
	unsigned long *zeromap; /* since 6.12 */
};
struct zswap_entry {
	swp_entry_t swpentry;
	unsigned int length;
};
struct zswap_entry___tree { /* before 6.5: one tree per swap type */
	unsigned long offset;
};
struct zram_table_entry {
	unsigned long handle;
	unsigned long flags;
};
struct zram {
	struct zram_table_entry *table;
};
enum zram_pageflags { ZRAM_LOCK = 13, ZRAM_SAME = 14 }; /* LOCK is the first flag of older kernels, SAME of newer */

struct kmem_cache {
	unsigned int object_size;
};
enum vm_event_item { SWPIN_ZERO = 1 };

#pragma clang attribute pop

#endif
