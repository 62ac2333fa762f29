import Essentials

/// `xfs`: operations of XFS file systems, from `/sys/fs/xfs/<device>/stats/stats`.
final class XFSCollector: NodeCollector {
    private struct Counter {
        let row: String
        let column: Int
        let metric: String
        let help: String

        init(_ row: String, _ column: Int, _ metric: String, _ help: String) {
            self.row = row
            self.column = column
            self.metric = metric
            self.help = help
        }
    }

    private static let counters: [Counter] = [
        Counter("extent_alloc", 0, "extent_allocation_extents_allocated_total", "Number of extents allocated"),
        Counter("extent_alloc", 1, "extent_allocation_blocks_allocated_total", "Number of blocks allocated"),
        Counter("extent_alloc", 2, "extent_allocation_extents_freed_total", "Number of extents freed"),
        Counter("extent_alloc", 3, "extent_allocation_blocks_freed_total", "Number of blocks freed"),
        Counter("abt", 0, "allocation_btree_lookups_total", "Number of allocation B-tree lookups"),
        Counter("abt", 1, "allocation_btree_compares_total", "Number of allocation B-tree compares"),
        Counter("abt", 2, "allocation_btree_records_inserted_total", "Number of allocation B-tree records inserted"),
        Counter("abt", 3, "allocation_btree_records_deleted_total", "Number of allocation B-tree records deleted"),
        Counter("blk_map", 0, "block_mapping_reads_total", "Number of block map for read operations"),
        Counter("blk_map", 1, "block_mapping_writes_total", "Number of block map for write operations"),
        Counter("blk_map", 2, "block_mapping_unmaps_total", "Number of block unmaps (deletes)"),
        Counter("blk_map", 3, "block_mapping_extent_list_insertions_total", "Number of extent list insertions"),
        Counter("blk_map", 4, "block_mapping_extent_list_deletions_total", "Number of extent list deletions"),
        Counter("blk_map", 5, "block_mapping_extent_list_lookups_total", "Number of extent list lookups"),
        Counter("blk_map", 6, "block_mapping_extent_list_compares_total", "Number of extent list compares"),
        Counter("bmbt", 0, "block_map_btree_lookups_total", "Number of block map B-tree lookups"),
        Counter("bmbt", 1, "block_map_btree_compares_total", "Number of block map B-tree compares"),
        Counter("bmbt", 2, "block_map_btree_records_inserted_total", "Number of block map B-tree records inserted"),
        Counter("bmbt", 3, "block_map_btree_records_deleted_total", "Number of block map B-tree records deleted"),
        Counter(
            "dir", 0, "directory_operation_lookup_total",
            "Number of file name directory lookups which miss the operating systems directory name lookup cache."),
        Counter(
            "dir", 1, "directory_operation_create_total", "Number of times a new directory entry was created"),
        Counter(
            "dir", 2, "directory_operation_remove_total", "Number of times an existing directory entry was created"),
        Counter(
            "dir", 3, "directory_operation_getdents_total",
            "Number of times the directory getdents operation was performed"),
        Counter(
            "ig", 0, "inode_operation_attempts_total",
            "Number of times the OS looked for an XFS inode in the inode cache."),
        Counter(
            "ig", 1, "inode_operation_found_total",
            "Number of times the OS looked for and found an XFS inode in the inode cache."),
        Counter(
            "ig", 2, "inode_operation_recycled_total",
            "Number of times the OS found an XFS inode in the cache, but could not use it as it was being recycled."),
        Counter(
            "ig", 3, "inode_operation_missed_total",
            "Number of times the OS looked for an XFS inode in the cache, but did not find it."),
        Counter(
            "ig", 4, "inode_operation_duplicates_total",
            "Number of times the OS tried to add a missing XFS inode to the inode cache, but found it had already been "
                + "added by another process."),
        Counter(
            "ig", 5, "inode_operation_reclaims_total",
            "Number of times the OS reclaimed an XFS inode from the inode cache to free memory for another purpose."),
        Counter(
            "ig", 6, "inode_operation_attribute_changes_total",
            "Number of times the OS explicitly changed the attributes of an XFS inode."),
        Counter("rw", 0, "write_calls_total", "Number of write(2) system calls made to files in a filesystem."),
        Counter("rw", 1, "read_calls_total", "Number of read(2) system calls made to files in a filesystem."),
        Counter("vnodes", 0, "vnode_active_total", "Number of vnodes not on free lists"),
        Counter("vnodes", 1, "vnode_allocate_total", "Number of times vn_alloc called"),
        Counter("vnodes", 2, "vnode_get_total", "Number of times vn_get called"),
        Counter("vnodes", 3, "vnode_hold_total", "Number of times vn_hold called"),
        Counter("vnodes", 4, "vnode_release_total", "Number of times vn_rele called"),
        Counter("vnodes", 5, "vnode_reclaim_total", "Number of times vn_reclaim called"),
        Counter("vnodes", 6, "vnode_remove_total", "Number of times vn_remove called"),
    ]

    func collect(_ scrape: NodeScrape) throws {
        let root = scrape.paths.sys("fs/xfs")
        let page = scrape.page
        for device in (try? Files.list(root)) ?? [] {
            let path = "\(root)/\(device)/stats/stats"
            var rows: [String: [UInt64]] = [:]
            do {
                try scrape.files.withFile(path) { bytes in
                    for line in bytes.lines {
                        let words = line.words(limit: 32)
                        guard let name = words.first else { continue }
                        rows[name.string] = words.dropFirst().map { $0.unsigned ?? 0 }
                    }
                }
            } catch let error as SystemError where error.isNotFound {
                continue
            }
            for counter in Self.counters {
                guard let row = rows[counter.row], counter.column < row.count else { continue }
                let help = counter.help.hasSuffix(".") ? counter.help : counter.help + " for a filesystem."
                page.add(
                    page.counter("node_xfs_" + counter.metric, help), "device", device, Double(row[counter.column]))
            }
        }
    }
}
