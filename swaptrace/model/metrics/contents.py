"""What becomes of the content of a page before it is placed: dedup, zero pages, merging."""

from __future__ import annotations

from swaptrace.model.metrics.metric import EXACT, HIGHER, LOWER, NEITHER, Metric

__all__ = ["CONTENTS"]

_RULES = {
    "first": "the first to touch a content pays for it",
    "split": "all who share a content pay their part (in doubles: to one part in 10^10 of the bytes held)",
    "all": "everyone who shares a content pays all of it",
}

CONTENTS: tuple[Metric, ...] = (
    Metric("dedup.zero_pages", "pages", HIGHER, EXACT, "elided because every byte is zero"),
    Metric(
        "dedup.same_filled_pages", "pages", HIGHER, EXACT, "elided because one 8-byte word, not zero, fills the page"
    ),
    Metric(
        "dedup.hits", "pages", HIGHER, EXACT, "writeouts whose content a live object of the same scope already held"
    ),
    Metric("dedup.cross_memcg_hits", "pages", HIGHER, EXACT, "hits on content held only by other memory cgroups"),
    Metric(
        "dedup.stale_hits",
        "pages",
        HIGHER,
        EXACT,
        "writeouts whose content only a loose index still had, no live object (not in hits)",
    ),
    Metric("dedup.hit_rate", "1", HIGHER, EXACT, "dedup.hits / writeouts that reached the stage"),
    Metric("dedup.unique_peak", "1", NEITHER, EXACT, "most distinct contents held at once"),
    Metric("dedup.refs_max", "1", NEITHER, EXACT, "most objects sharing one content"),
    Metric(
        "dedup.unhashed", "pages", NEITHER, EXACT, "writeouts that reached the stage without a hash: stored as unique"
    ),
    Metric("dedup.saved_bytes", "B", HIGHER, EXACT, "bytes not stored because of hits"),
    Metric(
        "dedup.index_bytes_peak",
        "B",
        LOWER,
        EXACT,
        "largest size of the content index, stale entries included; in the pool of zswap with the references of the "
        "owners",
    ),
    Metric(
        "dedup.verify_bytes",
        "B",
        LOWER,
        EXACT,
        "read back, or decompressed, to compare contents at hits (verify=content; not in read.device_bytes)",
    ),
    Metric(
        "dedup.repointed",
        "pages",
        LOWER,
        EXACT,
        "entries pointed to a slot with a page that was written back for another owner as well",
    ),
    Metric(
        "dedup.copied_pages",
        "pages",
        LOWER,
        EXACT,
        "written back once more because an entry that is a slot cannot be pointed elsewhere",
    ),
    Metric("dedup.charges.memcgs", "1", NEITHER, EXACT, "memory cgroups that wrote out content that was held"),
    *(
        Metric(
            f"dedup.charges.{rule}_bytes_peak",
            "B",
            NEITHER,
            EXACT,
            f"most bytes charged to one memory cgroup at once, if {what}",
        )
        for rule, what in _RULES.items()
    ),
    *(
        Metric(
            f"dedup.charges.{rule}_total_bytes_end",
            "B",
            NEITHER,
            EXACT,
            f"bytes charged to all of them at the end of the trace, if {what}",
        )
        for rule, what in _RULES.items()
        if rule != "split"  # as with first
    ),
    Metric(
        "dedup.charges.stranded_bytes_peak",
        "B",
        LOWER,
        EXACT,
        "most bytes at once that the first to touch a content still pays for without a reference to it",
    ),
    Metric("dedup.stale_peak", "1", NEITHER, EXACT, "most contents at once that no object holds, still in slots"),
    Metric(
        "zero.mapped_pages",
        "pages",
        HIGHER,
        EXACT,
        "zero pages mapped read-only at reclaim instead of becoming swap (zero:ro=on)",
    ),
    Metric(
        "zero.mapped_peak",
        "pages",
        NEITHER,
        EXACT,
        "most pages at once that are mapped zero pages, and that no swap count shows any more",
    ),
    Metric("zero.mapped_end", "pages", NEITHER, EXACT, "mapped zero pages at the end of the trace"),
    Metric(
        "zero.rmap_walks",
        "1",
        LOWER,
        EXACT,
        "additional rmap walks of reclaim, one for each folio with a zero page that it maps",
    ),
    Metric(
        "zero.minor_faults",
        "1",
        LOWER,
        EXACT,
        "mappings of zero pages that were faulted: minor faults, if each was a write",
    ),
    Metric(
        "zero.minor_faults_least",
        "1",
        LOWER,
        EXACT,
        "mappings of zero pages with a fault that the trace marks as a write",
    ),
    Metric(
        "ksm.merged_pages",
        "pages",
        HIGHER,
        EXACT,
        "writeouts whose page was merged with an equal one: one more owner of its swap entry",
    ),
    Metric("ksm.copies", "pages", HIGHER, EXACT, "reads of merged pages answered by a copy in RAM"),
    Metric("ksm.merged_peak", "pages", NEITHER, EXACT, "most pages at once that share the swap entry of another"),
    Metric(
        "ksm.metadata_bytes_peak", "B", LOWER, EXACT, "most bytes of KSM's items and stable nodes, of swapped pages"
    ),
    Metric(
        "ksm.profit_bytes_avg",
        "B",
        HIGHER,
        EXACT,
        "time-weighted mean of 4096 x merged pages - item x candidates, of swapped pages",
    ),
)
