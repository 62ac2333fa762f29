import ComponentKit
import Foundation
import TestKit
import Testing

@testable import PrometheusExporters

/// Machines with hardware this one does not have, as files; node_exporter looks at the same files where it is installed.
@Suite("prometheus.exporter.unix: storage and fabrics")
struct StorageFabricTests {
    private func scrape(_ tree: FakeTree, _ collector: String, extra: String = "") throws -> Exposed {
        let harness = ComponentHarness(PrometheusExporterUnix.self)
        #expect(harness.start("\(tree.arguments)\nset_collectors = [\"\(collector)\"]\n\(extra)") == [])
        let page = try harness.scrape()
        #expect(page.duplicates == [])
        #expect(harness.finish() == [])
        return page
    }

    /// Our page, after comparing it with node_exporter's of the same tree.
    private func compared(
        _ tree: FakeTree, _ collector: String, extra: String = "", flags: [String] = [], newer: Set<String> = []
    ) throws -> Exposed {
        let ours = try scrape(tree, collector, extra: extra)
        for directory in ["proc", "sys"] {
            try FileManager.default.createDirectory(
                atPath: tree.path + "/" + directory, withIntermediateDirectories: true)
        }
        guard NodeExporter.isInstalled else { return ours }
        let reference = try NodeExporter(
            ["--path.procfs=\(tree.path)/proc", "--path.sysfs=\(tree.path)/sys"] + flags)
        guard let theirs = try reference.scrape(collector) else { return ours }
        func own(_ page: Exposed) -> [Series: Double] {
            page.values.filter { series, _ in
                series.name.hasPrefix("node_") && series.name != "node_exporter_build_info"
                    && !series.name.hasPrefix("node_scrape_collector_duration")
                    && !newer.contains(series.name) && !newer.contains(series.name + series.labels)
            }
        }
        let wanted = own(theirs)
        let made = Set(own(ours).keys)
        #expect(made.subtracting(wanted.keys).sorted { $0.name < $1.name } == [], "\(collector): ours alone")
        #expect(Set(wanted.keys).subtracting(made).sorted { $0.name < $1.name } == [], "\(collector): not ours")
        for (series, value) in wanted {
            #expect(own(ours)[series] == value, "\(series)")
            #expect(ours.types[series.name] == theirs.types[series.name], "type of \(series.name)")
            #expect(ours.helps[series.name] == theirs.helps[series.name], "help of \(series.name)")
        }
        return ours
    }

    private func success(_ page: Exposed, _ collector: String) -> Double? {
        page["node_scrape_collector_success", "{collector=\"\(collector)\"}"]
    }

    @Test("nfs")
    func nfs() throws {
        let tree = try FakeTree()
        let second = (1...18).map { "\($0)" }.joined(separator: " ")
        let third = (101...122).map { "\($0)" }.joined(separator: " ")
        let fourth = (201...240).map { "\($0)" }.joined(separator: " ")
        try tree.write(
            "proc/net/rpc/nfs",
            "net 70 7 60 3\nrpc 1218 4 1221\nproc2 18 \(second)\nproc3 22 \(third)\nproc4 40 \(fourth)\n")
        let page = try compared(tree, "nfs")
        #expect(page["node_nfs_packets_total", #"{protocol="tcp"}"#] == 60)
        #expect(page["node_nfs_rpc_retransmissions_total"] == 4)
        #expect(page["node_nfs_requests_total", #"{method="FsStat",proto="2"}"#] == 18)
        #expect(page["node_nfs_requests_total", #"{method="ReadDirPlus",proto="3"}"#] == 118)
        #expect(page["node_nfs_requests_total", #"{method="CreateSession",proto="4"}"#] == 240)
        // Older kernels know fewer operations.
        #expect(page["node_nfs_requests_total", #"{method="Clone",proto="4"}"#] == 0)
        for broken in ["rpc 1 2\n", "strange 1\n", "proc3 22 1 2\n", "net\n", "net a b c d\n"] {
            try tree.write("proc/net/rpc/nfs", broken)
            let page = try scrape(tree, "nfs")
            #expect(success(page, "nfs") == 0 && page.names(withPrefix: "node_nfs_").isEmpty, "\(broken)")
        }
        #expect(success(try scrape(try FakeTree(), "nfs"), "nfs") == 0)
    }

    @Test("nfsd")
    func nfsServer() throws {
        let tree = try FakeTree()
        let second = (1...18).map { "\($0)" }.joined(separator: " ")
        let third = (101...122).map { "\($0)" }.joined(separator: " ")
        let operations = (0..<59).map { "\(300 + $0)" }.joined(separator: " ")
        try tree.write(
            "proc/net/rpc/nfsd",
            """
            rc 6 5 4
            fh 9 0 0 0 0
            io 157286400 200
            th 8 0 0.000 0.000
            ra 32 0 0 0 0 0 0 0 0 0 0 11
            net 972 55 917 1
            rpc 900 1 2 3 4
            proc2 18 \(second)
            proc3 22 \(third)
            proc4 2 2 10853
            proc4ops 59 \(operations)

            """)
        let page = try compared(tree, "nfsd")
        #expect(page["node_nfsd_disk_bytes_read_total"] == 157_286_400)
        #expect(page["node_nfsd_server_threads"] == 8)
        #expect(page["node_nfsd_rpc_errors_total", #"{error="cInt"}"#] == 4)
        #expect(page["node_nfsd_requests_total", #"{method="Access",proto="4"}"#] == 303)
        #expect(page["node_nfsd_requests_total", #"{method="RelLockOwner",proto="4"}"#] == 337)
    }

    @Test("zfs")
    func zfs() throws {
        let tree = try FakeTree()
        let root = "proc/spl/kstat/zfs/"
        let head = "9 1 0x01 91 4368 5266997922 97951858082072\nname                            type data\n"
        try tree.write(root + "arcstats", head + "hits 4 8772612\nname-with-dash 4 7\nchar 0 9\nsigned 3 12\n")
        try tree.write(root + "zil", head + "zil_commit_count 4 10\n")
        try tree.write(
            root + "tank/io",
            """
            12 3 0x00 1 80 79205351707403 395818011156865
            nread    nwritten reads    writes   wtime    wlentime wupdate  rtime    rlentime rupdate  wcnt     rcnt
            1884160  3206144  22       132      7155162  104112268 79 24168078 104112269 80 2 3

            """)
        try tree.write(root + "tank/objset-1", head + "dataset_name 7 tank/data\nwrites 4 4\nnunlinks 4 1\n")
        try tree.write(root + "tank/state", "DEGRADED\n")
        let page = try compared(
            tree, "zfs", newer: ["node_zfs_arc_signed", #"node_zfs_zpool_state{state="suspended",zpool="tank"}"#])
        #expect(page["node_zfs_arc_hits"] == 8_772_612)
        #expect(page["node_zfs_arc_name_with_dash"] == 7)
        #expect(page.types["node_zfs_arc_hits"] == "untyped")
        #expect(page["node_zfs_arc_char"] == nil)
        #expect(page["node_zfs_zpool_nwritten", #"{zpool="tank"}"#] == 3_206_144)
        #expect(page["node_zfs_zpool_dataset_writes", #"{dataset="tank/data",zpool="tank"}"#] == 4)
        #expect(page["node_zfs_zpool_state", #"{state="degraded",zpool="tank"}"#] == 1)
        #expect(page["node_zfs_zpool_state", #"{state="online",zpool="tank"}"#] == 0)
        // Newer versions than the one compared with take the whole name.
        try tree.write(root + "tank/objset-1", head + "dataset_name 7 tank/my data\nwrites 4 5\n")
        #expect(
            try scrape(tree, "zfs")["node_zfs_zpool_dataset_writes", #"{dataset="tank/my data",zpool="tank"}"#] == 5)
        try tree.write(root + "zil", "nothing\n")
        #expect(success(try scrape(tree, "zfs"), "zfs") == 0)
        #expect(success(try scrape(try FakeTree(), "zfs"), "zfs") == 0)
    }

    @Test("fibrechannel")
    func fibreChannel() throws {
        let tree = try FakeTree()
        let root = "sys/class/fc_host/host3/"
        let texts: [(String, String)] = [
            ("dev_loss_tmo", "30"), ("fabric_name", "0x0"), ("node_name", "0x2000e0071bce95f2"),
            ("port_id", "0x000002"), ("port_name", "0x1000e0071bce95f2"), ("port_state", "Online"),
            ("port_type", "Point-To-Point (direct nport connection)"), ("speed", "16 Gbit"),
            ("supported_classes", "Class 3"), ("supported_speeds", "4 Gbit, 8 Gbit"), ("symbolic_name", "A \"card\""),
        ]
        for (name, text) in texts { try tree.write(root + name, text + "\n") }
        try tree.write(root + "statistics/rx_frames", "0x1f\n")
        try tree.write(root + "statistics/tx_words", "77\n")
        try tree.write(root + "statistics/dumped_frames", "0xffffffffffffffff\n")
        try tree.write(root + "statistics/reset_statistics", "\n")
        let page = try compared(tree, "fibrechannel")
        #expect(page["node_fibrechannel_rx_frames_total", #"{fc_host="host3"}"#] == 31)
        #expect(page["node_fibrechannel_tx_words_total", #"{fc_host="host3"}"#] == 77)
        #expect(page["node_fibrechannel_dumped_frames_total", #"{fc_host="host3"}"#] == nil)
        #expect(page["node_fibrechannel_nos_total", #"{fc_host="host3"}"#] == 0)
        #expect(success(try scrape(try FakeTree(), "fibrechannel"), "fibrechannel") == 0)
    }

    @Test("infiniband")
    func infiniBand() throws {
        let tree = try FakeTree()
        let root = "sys/class/infiniband/mlx4_0/"
        try tree.write(root + "board_id", "SM_1141000001000\n")
        try tree.write(root + "fw_ver", "2.31.5050\n")
        try tree.write(root + "hca_type", "MT4099\n")
        for (port, rate) in [(1, "40 Gb/sec (4X QDR)"), (2, "2.5 Gb/sec (1X SDR)")] {
            let path = root + "ports/\(port)/"
            try tree.write(path + "state", "4: ACTIVE\n")
            try tree.write(path + "phys_state", "5: LinkUp\n")
            try tree.write(path + "rate", rate + "\n")
            try tree.write(path + "counters/port_rcv_data", "\(1000 * port)\n")
            try tree.write(path + "counters/link_downed", "3\n")
            try tree.write(path + "counters/VL15_dropped", "N/A (no PMA)\n")
        }
        try tree.write(root + "ports/1/counters_ext/port_xmit_data_64", "26509113295\n")
        let page = try compared(tree, "infiniband")
        let first = #"{device="mlx4_0",port="1"}"#
        #expect(page["node_infiniband_port_data_received_bytes_total", first] == 4000)
        #expect(page["node_infiniband_legacy_data_transmitted_bytes_total", first] == 106_036_453_180)
        #expect(page["node_infiniband_rate_bytes_per_second", #"{device="mlx4_0",port="2"}"#] == 312_500_000)
        #expect(page["node_infiniband_state_id", first] == 4)
        #expect(page["node_infiniband_vl15_dropped_total", first] == nil)
        try tree.write(root + "ports/1/rate", "fast\n")
        #expect(success(try scrape(tree, "infiniband"), "infiniband") == 0)
    }

    @Test("bcache")
    func bcache() throws {
        let tree = try FakeTree()
        let root = "sys/fs/bcache/deaddd54-c735-46d5-868e-f331c5fd7c74/"
        let files: [(String, String)] = [
            ("average_key_size", "0"), ("btree_cache_size", "32.5k"), ("cache_available_percent", "100"),
            ("congested", "1"), ("root_usage_percent", "2"), ("tree_depth", "3"),
            ("internal/active_journal_entries", "4"), ("internal/btree_nodes", "5"),
            ("internal/btree_read_average_duration_us", "1305"), ("internal/cache_read_races", "6"),
            ("bdev0/dirty_data", "1.1M"), ("bdev0/stats_total/bypassed", "4.9G"),
            ("bdev0/stats_total/cache_hits", "546"), ("bdev0/stats_total/cache_misses", "7"),
            ("bdev0/stats_total/cache_readaheads", "9"), ("cache0/io_errors", "8"),
            ("cache0/metadata_written", "512"), ("cache0/written", "2k"),
            ("cache0/priority_stats", "Unused:         99%\nMetadata:       1%\nAverage:        10473"),
            (
                "bdev0/writeback_rate_debug",
                """
                rate:           1.1M/sec
                dirty:          20.4G
                target:         20.4G
                proportional:   427.5k
                integral:       -790.0k
                change:         321.5k/sec
                next io:        17ms
                """
            ),
        ]
        for (name, text) in files { try tree.write(root + name, text + "\n") }
        let page = try compared(
            tree, "bcache", extra: "bcache {\npriority_stats = true\n}", flags: ["--collector.bcache.priorityStats"])
        let uuid = #"uuid="deaddd54-c735-46d5-868e-f331c5fd7c74""#
        #expect(page["node_bcache_congested", "{\(uuid)}"] == 1)
        #expect(page["node_bcache_written_bytes_total", #"{cache_device="cache0",\#(uuid)}"#] == 2048)
        #expect(page["node_bcache_priority_stats_unused_percent", #"{cache_device="cache0",\#(uuid)}"#] == 99)
        #expect(page["node_bcache_cache_hits_total", #"{backing_device="bdev0",\#(uuid)}"#] == 546)
        #expect(
            (page["node_bcache_writeback_rate_integral_term", #"{backing_device="bdev0",\#(uuid)}"#] ?? 0) < -800_000)
        // Newer versions than the one compared with leave out what newer kernels no longer count.
        try tree.write(root + "bdev0/stats_total/cache_readaheads", "0\n")
        let plain = try scrape(tree, "bcache")
        #expect(plain["node_bcache_cache_readaheads_total", #"{backing_device="bdev0",\#(uuid)}"#] == nil)
        #expect(plain["node_bcache_priority_stats_unused_percent", #"{cache_device="cache0",\#(uuid)}"#] == nil)
        try tree.write(root + "tree_depth", "deep\n")
        #expect(success(try scrape(tree, "bcache"), "bcache") == 0)
        #expect(success(try scrape(try FakeTree(), "bcache"), "bcache") == 1)
    }

    @Test("btrfs")
    func btrfs() throws {
        let tree = try FakeTree()
        let root = "sys/fs/btrfs/0abb23a9-579b-43e6-ad30-227ef47fcb9d/"
        try tree.write("proc/1/mounts", "/dev/vda / ext4 rw 0 0\n")
        try tree.write("proc/1/mountinfo", "1 0 8:1 / / rw - ext4 /dev/vda rw\n")
        try tree.write(root + "label", "fixture\n")
        try tree.write(root + "features/extended_iref", "1\n")
        try tree.write(root + "allocation/global_rsv_size", "16777216\n")
        for (number, kind) in ["data", "metadata", "system"].enumerated() {
            try tree.write(root + "allocation/\(kind)/bytes_reserved", "\(number)\n")
            try tree.write(root + "allocation/\(kind)/raid5/total_bytes", "\(2_147_483_648 + number)\n")
            try tree.write(root + "allocation/\(kind)/raid5/used_bytes", "\(800_000 + number)\n")
        }
        for (number, device) in ["loop22", "loop23", "loop24"].enumerated() {
            try tree.write(root + "devices/\(device)/size", "\(20_971_520 + number)\n")
        }
        let page = try compared(tree, "btrfs")
        let uuid = #"uuid="0abb23a9-579b-43e6-ad30-227ef47fcb9d""#
        #expect(page["node_btrfs_info", #"{label="fixture",\#(uuid)}"#] == 1)
        #expect(page["node_btrfs_device_size_bytes", #"{device="loop23",\#(uuid)}"#] == 10_737_418_752)
        #expect(page["node_btrfs_allocation_ratio", #"{block_group_type="data",mode="raid5",\#(uuid)}"#] == 1.5)
        #expect(page["node_btrfs_used_bytes", #"{block_group_type="system",mode="raid5",\#(uuid)}"#] == 800_002)
        #expect(success(try scrape(try FakeTree(), "btrfs"), "btrfs") == 1)
    }

    @Test("drbd")
    func drbd() throws {
        let tree = try FakeTree()
        try tree.write(
            "proc/drbd",
            """
            version: 8.4.3 (api:1/proto:86-101)
            srcversion: 1A9F77B1CA5FF92235C2213

             0: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----
                ns:17324 nr:5 dw:10961 dr:4 al:6 bm:7 lo:8 pe:9 ua:10 ap:11 ep:1 wo:d oos:12
             1: cs:StandAlone ro:Secondary/Unknown ds:UpToDate/DUnknown   r-----
                ns:1 nr:2 dw:3 dr:4 al:5 bm:6 lo:7 pe:8 ua:9 ap:10 ep:11 wo:d oos:13

            """)
        let page = try compared(tree, "drbd", flags: ["--collector.drbd"])
        #expect(page["node_drbd_network_sent_bytes_total", #"{device="drbd0"}"#] == 17_739_776)
        #expect(page["node_drbd_node_role_is_primary", #"{device="drbd0",node="local"}"#] == 1)
        #expect(page["node_drbd_disk_state_is_up_to_date", #"{device="drbd1",node="remote"}"#] == 0)
        #expect(page["node_drbd_connected", #"{device="drbd1"}"#] == 0)
        #expect(success(try scrape(try FakeTree(), "drbd"), "drbd") == 0)
    }

    @Test("drm")
    func drm() throws {
        let tree = try FakeTree()
        let root = "sys/class/drm/card0/device/"
        let files: [(String, String)] = [
            ("uevent", "DRIVER=amdgpu\nPCI_CLASS=38000"), ("gpu_busy_percent", "4"),
            ("mem_info_gtt_total", "8573157376"), ("mem_info_gtt_used", "144560128"),
            ("mem_info_vis_vram_total", "8573157375"), ("mem_info_vis_vram_used", "1490378752"),
            ("mem_info_vram_total", "8573157374"), ("mem_info_vram_used", "1490378751"),
            ("mem_info_vram_vendor", "samsung"), ("power_dpm_force_performance_level", "manual"),
            ("unique_id", "0123456789abcdef"),
        ]
        for (name, text) in files { try tree.write(root + name, text + "\n") }
        let page = try compared(tree, "drm", flags: ["--collector.drm"])
        #expect(page["node_drm_gpu_busy_percent", #"{card="card0"}"#] == 4)
        #expect(page["node_drm_memory_vram_used_bytes", #"{card="card0"}"#] == 1_490_378_751)
        try tree.write("sys/class/drm/card1/device/uevent", "DRIVER=i915\n")
        #expect(try scrape(tree, "drm").values.keys.allSatisfy { !$0.labels.contains("card1") })
    }

    @Test("zoneinfo")
    func zoneInfo() throws {
        let tree = try FakeTree()
        try tree.write(
            "proc/zoneinfo",
            """
            Node 0, zone      DMA
              per-node stats
                  nr_inactive_anon 230981
                  nr_dirtied   189097
                  nr_written   188999
              pages free     3952
                    min      33
                    low      41
                    high     49
                    spanned  4095
                    present  3975
                    managed  3956
                    protection: (0, 2877, 7826, 7826, 7826)
                  nr_free_pages 3952
                  numa_hit     1
              pagesets
                cpu: 0
                          count: 0
                          high:  0
                          batch: 1
            Node 1, zone   Normal
              pages free     799
                    min      40
                    protection: (0, 0)
                  nr_free_pages 799

            """)
        let page = try compared(tree, "zoneinfo", flags: ["--collector.zoneinfo"])
        #expect(page["node_zoneinfo_nr_written_total", #"{node="0",zone="DMA"}"#] == 188_999)
        #expect(page["node_zoneinfo_high_pages", #"{node="0",zone="DMA"}"#] == 49)
        #expect(page["node_zoneinfo_protection_2", #"{node="0",zone="DMA"}"#] == 7826)
        #expect(page["node_zoneinfo_min_pages", #"{node="1",zone="Normal"}"#] == 40)
        #expect(success(try scrape(try FakeTree(), "zoneinfo"), "zoneinfo") == 0)
    }

    @Test("mountstats")
    func mountStats() throws {
        let tree = try FakeTree()
        let events = (1...27).map { "\($0)" }.joined(separator: " ")
        try tree.link("proc/self", to: "7")
        try tree.write(
            "proc/7/mountstats",
            """
            device rootfs mounted on / with fstype rootfs
            device server:/export mounted on /mnt with fstype nfs4 statvers=1.1
            \topts:\trw,vers=4.0
            \tage:\t13968
            \tcaps:\tcaps=0xfff7
            \tevents:\t\(events)
            \tbytes:\t1207640230 2 3 4 1210214218 6 295483 8
            \tRPC iostats version: 1.0  p/v: 100003/4 (nfs)
            \txprt:\ttcp 832 1 2 0 11 6428 6427 3 12154 4 24 26 5726
            \tper-op statistics
            \t        NULL: 0 0 0 0 0 0 0 0
            \t        READ: 1298 1299 1 207680 1210292152 6 79386 79407

            device other:/data mounted on /data with fstype nfs statvers=1.0
            \tage:\t1
            \txprt:\tudp 832 1 6428 6427 3 12154 4
            \tper-op statistics

            """)
        try tree.write(
            "proc/7/mountinfo",
            """
            1 0 0:1 / / rw - rootfs rootfs rw
            2 1 0:2 / /mnt rw,relatime shared:1 - nfs4 server:/export rw,vers=4.0,addr=192.168.1.1
            3 1 0:3 / /data rw - nfs other:/data rw,addr=192.168.1.2

            """)
        let page = try compared(tree, "mountstats", flags: ["--collector.mountstats"])
        let labels = #"export="server:/export",mountaddr="192.168.1.1""#
        #expect(
            page[
                "node_mountstats_nfs_operations_response_time_seconds_total",
                #"{\#(labels),operation="READ",protocol="tcp"}"#] == 79.386)
        #expect(page["node_mountstats_nfs_event_pnfs_write_total", #"{\#(labels),protocol="tcp"}"#] == 27)
        #expect(page["node_mountstats_nfs_transport_maximum_rpc_slots", #"{\#(labels),protocol="tcp"}"#] == 24)
        let other = #"{export="other:/data",mountaddr="192.168.1.2",protocol="udp"}"#
        #expect(page["node_mountstats_nfs_transport_sends_total", other] == 6428)
        try tree.write("proc/7/mountstats", "device a mounted on /a with fstype nfs statvers=1.1\n\tbytes:\t1 2\n")
        #expect(success(try scrape(tree, "mountstats"), "mountstats") == 0)
    }

    @Test("runit")
    func runit() throws {
        let tree = try FakeTree()
        func status(_ seconds: UInt64, _ wanted: Character, _ state: UInt8) -> Data {
            var bytes = Data()
            withUnsafeBytes(of: (seconds + 10 + 1 << 62).bigEndian) { bytes.append(contentsOf: $0) }
            bytes.append(contentsOf: [0, 0, 0, 0, 77, 0, 0, 0, 0, wanted.asciiValue ?? 0, 0, state])
            return bytes
        }
        try tree.write("services/web/supervise/status", status(1_700_000_000, "u", 1))
        try tree.write("services/old/supervise/status", status(1_600_000_000, "d", 0))
        try tree.write("services/old/supervise/down", "")
        try tree.write("services/empty/run", "")
        let page = try compared(
            tree, "runit", extra: "runit {\nservice_dir = \"\(tree.path)/services\"\n}",
            flags: ["--collector.runit", "--collector.runit.servicedir=\(tree.path)/services"])
        let web = #"{service="web",supervisor="runit"}"#
        #expect(page["node_service_state", web] == 1)
        #expect(page["node_service_desired_state", web] == 1)
        #expect(page["node_service_normal_state", #"{service="old",supervisor="runit"}"#] == 0)
    }

    /// Names and labels of what the kernel tells over sockets, on this machine.
    @Test("tcpstat, qdisc and network_route", .enabled(if: NodeExporter.isInstalled))
    func netlink() throws {
        let names = ["tcpstat", "qdisc", "network_route"]
        let reference = try NodeExporter(names.map { "--collector.\($0)" })
        for name in names {
            guard let theirs = try reference.scrape(name) else { continue }
            let harness = ComponentHarness(PrometheusExporterUnix.self)
            #expect(harness.start("set_collectors = [\"\(name)\"]") == [])
            let ours = try harness.scrape()
            #expect(ours.duplicates == [])
            #expect(success(ours, name) == success(theirs, name), "\(name)")
            let prefix = name == "tcpstat" ? "node_tcp_" : "node_" + name.prefix(5)
            func series(_ page: Exposed) -> [String] {
                page.values.keys.filter { $0.name.hasPrefix(prefix) }.map { "\($0.name)\($0.labels)" }
                    // States that connections happen to be in come and go.
                    .filter { name != "tcpstat" || $0.contains("listen") || $0.contains("bytes") }.sorted()
            }
            #expect(series(ours) == series(theirs), "\(name)")
            for metric in theirs.names(withPrefix: prefix) where ours.types[metric] != nil {
                #expect(ours.types[metric] == theirs.types[metric] && ours.helps[metric] == theirs.helps[metric])
            }
            #expect(harness.finish() == [])
        }
    }

    @Test("arp counts the same neighbours over netlink as in the kernel's file")
    func arp() throws {
        let pages = try ["false", "true"].map { way in
            let harness = ComponentHarness(PrometheusExporterUnix.self)
            #expect(harness.start("set_collectors = [\"arp\"]\narp {\nnetlink = \(way)\n}") == [])
            let page = try harness.scrape()
            #expect(harness.finish() == [])
            return page
        }
        #expect(success(pages[1], "arp") == 1)
        #expect(pages[0].names(withPrefix: "node_arp_") == pages[1].names(withPrefix: "node_arp_"))
        let devices = pages.map { page in Set(page.values.keys.filter { $0.name == "node_arp_entries" }) }
        #expect(devices[0] == devices[1])
    }
}
