/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Whose page it is: the mapping in the interval tree of its anon_vma.
 */
#pragma once

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
